"""Refusals of the voucher library. Each class is one stable `code`; `field` names what is wrong where that is known.

Whatever a partner sends, these are the only exceptions that leave the codec (docs/vouchers.md §2).
"""

from core.errors import TreasuryError


class VoucherError(TreasuryError):
    """A voucher that cannot be written, read or accepted."""

    code = "voucher_error"


# What the bytes are -------------------------------------------------------------------------------------------------


class XmlError(VoucherError):
    """Not the plain XML this system exchanges. The subclasses say in which way."""

    code = "xml_malformed"


class XmlTooLarge(XmlError):
    code = "xml_too_large"


class XmlDeclaration(XmlError):
    """The first bytes are not `<?xml version="1.0" encoding="…"?>`."""

    code = "xml_declaration"


class XmlEncoding(XmlError):
    """Encoding not allowed, or the label, the byte order mark and the bytes contradict each other."""

    code = "xml_encoding"


class XmlDoctype(XmlError):
    code = "xml_doctype"


class XmlComment(XmlError):
    code = "xml_comment"


class XmlCdata(XmlError):
    code = "xml_cdata"


class XmlProcessingInstruction(XmlError):
    code = "xml_processing_instruction"


class XmlEntity(XmlError):
    code = "xml_entity"


class XmlNamespace(XmlError):
    code = "xml_namespace"


class XmlDepth(XmlError):
    code = "xml_depth"


class XmlTooManyElements(XmlError):
    code = "xml_too_many_elements"


class XmlAttribute(XmlError):
    """An attribute too many, too few, too long or of the wrong form."""

    code = "xml_attribute"


class XmlTextTooLong(XmlError):
    code = "xml_text_too_long"


class XmlMixedContent(XmlError):
    code = "xml_mixed_content"


class XmlTrailing(XmlError):
    code = "xml_trailing"


# What the elements say ----------------------------------------------------------------------------------------------


class XmlUnknownElement(XmlError):
    code = "xml_unknown_element"


class XmlDuplicateElement(XmlError):
    code = "xml_duplicate_element"


class XmlMissingElement(XmlError):
    code = "xml_missing_element"


class VoucherCountDiffers(VoucherError):
    code = "voucher_count_differs"


class VoucherFlagInvalid(VoucherError):
    code = "voucher_flag_invalid"


class Base64Invalid(VoucherError):
    """Not strict base64: junk, inner whitespace, missing padding or non-zero pad bits (two texts for one content)."""

    code = "base64_invalid"


class VoucherTypeUnknown(VoucherError):
    code = "voucher_type_unknown"


class IdentityInvalid(VoucherError):
    """Region, year, type, number or date of the inner document is missing or impossible."""

    code = "voucher_identity_invalid"


# What we were asked to write ----------------------------------------------------------------------------------------


class CharacterNotInGbk(VoucherError):
    code = "character_not_in_gbk"


class CharacterNotAllowed(VoucherError):
    """A control character: XML would change or refuse it."""

    code = "character_not_allowed"


class FieldUnknown(VoucherError):
    code = "field_unknown"


class NotAReceiptField(VoucherError):
    """A receipt may fill `X…` fields only; everything else must come back as it was sent."""

    code = "not_a_receipt_field"


class DetailUnknown(VoucherError):
    code = "detail_unknown"


class WireAmountInvalid(VoucherError):
    code = "amount_invalid"


class WireDateInvalid(VoucherError):
    code = "date_invalid"


# What arrived, and from whom -----------------------------------------------------------------------------------------


class EnvelopeDiffers(VoucherError):
    """The unsigned envelope says something else than the signed document (F37)."""

    code = "envelope_differs"


class WrongSender(VoucherError):
    """This party may not send this document, or not for this region."""

    code = "wrong_sender"
    http_status = 403


class StampRefused(VoucherError):
    """A stamp that is missing, or does not hold; `code` is the reason as in `seals.verdicts`."""

    code = "stamp_refused"


class SignatureRefused(VoucherError):
    """No valid signature of the party that must have signed; `code` is the verdict's own."""

    code = "signature_invalid"


class FieldRefused(VoucherError):
    """A field breaks a rule of docs/vouchers.md §4; `code` is the rule's own."""

    code = "field_refused"


class OriginalUnknown(VoucherError):
    """The document names one that is not here or not the sender's."""

    code = "original_unknown"
    http_status = 404


class OriginalNotOpen(VoucherError):
    code = "original_not_open"
    http_status = 409


class ReceiptAltered(VoucherError):
    """A receipt changes a field that is not a receipt field (F40)."""

    code = "receipt_altered"


class DuplicateIdentity(VoucherError):
    """The number has been used for another text."""

    code = "conflicting_duplicate"
    http_status = 409
