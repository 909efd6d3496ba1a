"""What a voucher says, before it is bytes and after: plain values without a database behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class VoucherContent:
    """The inner document: who, which year, which type and number, and its fields as wire text.

    `main` and each detail map a tag of the schema to its text; amounts are already "1234.50", dates "20260615".
    `main` need not repeat the five identity tags (AdmDivCode, StYear, VtCode, VouDate, VoucherNo); after decoding it
    holds every tag of the schema, empty ones as "".
    """

    voucher_type: str
    voucher_no: str
    adm_div_code: str
    fiscal_year: int
    voucher_date: date
    main: Mapping[str, str]
    details: tuple[Mapping[str, str], ...]

    @property
    def identity(self) -> dict[str, str]:
        """The five identity tags as they stand in the inner document."""
        return {
            "AdmDivCode": self.adm_div_code,
            "StYear": f"{self.fiscal_year:04d}",
            "VtCode": self.voucher_type,
            "VouDate": self.voucher_date.isoformat().replace("-", ""),
            "VoucherNo": self.voucher_no,
        }


@dataclass(frozen=True)
class SignatureMark:
    """One `Signature` or `SignStamp`: at which position, certificate serial or seal id, base64 text as received."""

    position: str
    serial: str
    value: str


@dataclass(frozen=True)
class EnvelopeBody:
    """One `VoucherBody`. Its attributes lie outside the signature: hints until they equal the inner fields (F37).

    `text` is the base64 text exactly as received: this, not what it decodes to, is what the partner signed.
    """

    adm_div_code: str
    fiscal_year: int
    voucher_type: str
    voucher_no: str
    flag: int
    return_reason: str
    attach: str
    text: bytes
    signatures: tuple[SignatureMark, ...] = ()
    stamps: tuple[SignatureMark, ...] = ()
