from core.errors import Conflict, NotFound, TreasuryError


class FileRefused(TreasuryError):
    """A file of another kind than its name says, of a kind we do not keep, damaged, too large or dangerous."""

    code = "file_refused"


class UploadTooLarge(FileRefused):
    """More bytes in one request than may be sent at once; refused before any of them was read."""

    code = "upload_too_large"
    http_status = 413


class TooManyFiles(Conflict):
    code = "too_many_files"


class PhoneLinkUnknown(NotFound):
    """A phone page that never was, is over, or belongs to another phone: the three are not told apart."""

    code = "phone_link_unknown"
