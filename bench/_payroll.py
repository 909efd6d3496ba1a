"""Who is paid in the payroll benchmark, the bank that answers, and the same work without any rule."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from django.db import connection
from lxml import etree
from python_calamine import CalamineWorkbook
from xlsxwriter import Workbook

from core.digests import sm3_hex
from demo import world
from seals.certificates import parse_certificate
from seals.suites import get_suite
from simulators.stamps import Stamps
from simulators.wire import Identity
from vouchers.codec import content_text, decode_content, encode_content, encode_envelope, receipt_of
from vouchers.messages import EnvelopeBody, SignatureMark
from vouchers.models import Voucher

HEADER = (
    *("姓名", "证件号码", "卡号", "开户银行", "行号", "基本工资(30101)", "津贴补贴(30102)", "绩效工资(30107)"),
    *("养老保险", "职业年金", "医疗保险", "住房公积金", "个人所得税", "实发"),
)
LINES = 499
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰文辉力健"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True)
class Paid:
    """One person of the payroll; amounts in fen, so that every figure can be foretold."""

    name: str
    identity: str
    card: str
    items: tuple[int, int, int]
    withheld: tuple[int, int, int, int, int]

    @property
    def net(self) -> Decimal:
        return Decimal(sum(self.items) - sum(self.withheld)).scaleb(-2)


def people(count: int) -> list[Paid]:
    """`count` different people; the same for the same count."""
    return [_person(number) for number in range(count)]


def _person(number: int) -> Paid:
    name = _SURNAMES[number % 20] + _GIVEN[number // 20 % 30] + _GIVEN[number // 600 % 30]
    body = f"990101{1960 + number // 1000 % 45}0{1 + number // 45000 % 9}{10 + number // 100 % 10}{number % 1000:03d}"
    identity = body + "10X98765432"[sum(w * int(d) for w, d in zip(_WEIGHTS, body, strict=True)) % 11]
    base = 300_000 + number * 7919 % 400_000
    items = (base, 120_000 + number * 31 % 50_000, 150_000 + number * 97 % 90_000)
    gross = sum(items)
    withheld = (gross * 8 // 100, gross * 4 // 100, gross * 2 // 100, gross * 12 // 100, 2_000 + number % 9_000)
    return Paid(name, identity, f"6231{number:012d}", items, withheld)


def gross(paid: Sequence[Paid]) -> Decimal:
    """What the batch comes to."""
    return Decimal(sum(sum(person.items) for person in paid)).scaleb(-2)


def write(paid: Sequence[Paid], path: str) -> None:
    """Write the spreadsheet, as a personnel system would."""
    with Workbook(path, {"constant_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("工资")
        for column, title in enumerate(HEADER):
            sheet.write_string(0, column, title)
        for row, person in enumerate(paid, start=1):
            texts = (person.name, person.identity, person.card, "丙银行临江支行", "")
            for column, text in enumerate(texts):
                sheet.write_string(row, column, text)
            for column, fen in enumerate((*person.items, *person.withheld), start=len(texts)):
                sheet.write_number(row, column, fen / 100)
            sheet.write_number(row, len(HEADER) - 1, float(person.net))


# The bank -----------------------------------------------------------------------------------------------------------


class Bank:
    """Bank A in our hand: it answers vouchers with receipts, signed and stamped with its own key and seal."""

    def __init__(self, state: Path) -> None:
        pki = state / "sim-bank-a" / "pki"
        own = pki / world.BANK_A if (pki / world.BANK_A).is_dir() else pki
        certificate = parse_certificate((own / "cert.pem").read_bytes())
        self._serial = certificate.serial_hex
        self._suite = get_suite(certificate.suite_id)
        self._key = self._suite.load_private_key((own / "key.pem").read_bytes())
        self._stamps = Stamps(pki, world.BANK_A, "yh_ywzqz")
        self._executed = 0

    def receipt(self, voucher: Voucher, failing: Sequence[str]) -> bytes:
        """An envelope with the receipt of one voucher: every line paid, but those to the failing cards."""
        content, _ = decode_content(bytes(voucher.text))
        refused = set(failing)
        today = content.voucher_date.strftime("%Y%m%d")
        lines: dict[str, dict[str, str]] = {}
        total = 0
        for detail in content.details:
            paid = detail["PayeeAcctNo"] not in refused
            self._executed += 1
            total += int(detail["PayAmt"].replace(".", "")) if paid else 0
            lines[detail["Id"]] = {
                "XPayAmt": detail["PayAmt"] if paid else "0.00",
                "XPayDate": today,
                "XAgentBusinessNo": f"A{self._executed:09d}" if paid else "",
                "XAddWord": "" if paid else "户名账号不符",
            }
        main = {
            "XPayAmt": f"{total // 100}.{total % 100:02d}",
            "XPayDate": today,
            "XAgentBusinessNo": f"AM{self._executed:09d}",
        }
        answered = receipt_of(content, main, lines)
        text = content_text(encode_content(answered))
        identity = Identity(
            answered.adm_div_code, str(answered.fiscal_year), answered.voucher_type, answered.voucher_no
        )
        stamps = self._stamps.affix(identity, text.decode("ascii"))
        body = EnvelopeBody(
            adm_div_code=answered.adm_div_code,
            fiscal_year=answered.fiscal_year,
            voucher_type=answered.voucher_type,
            voucher_no=answered.voucher_no,
            flag=1,
            return_reason="",
            attach="",
            text=text,
            signatures=(SignatureMark("yh_qm", self._serial, self._signed(text)),),
            stamps=tuple(SignatureMark(stamp.position, stamp.serial, stamp.value) for stamp in stamps),
        )
        return encode_envelope([body])

    def _signed(self, text: bytes) -> str:
        return base64.b64encode(self._suite.sign(self._key, text)).decode()


# The limit ----------------------------------------------------------------------------------------------------------


def read_people(path: str) -> list[tuple[str, str, str, str]]:
    """Name, card, bank and net pay of everybody in the spreadsheet."""
    rows = CalamineWorkbook.from_path(path).get_sheet_by_index(0).iter_rows()
    next(rows)
    return [(str(row[0]), str(row[2]), str(row[3]), f"{row[-1]:.2f}") for row in rows]


class Yardstick:
    """Vouchers of LINES lines, built as text, signed and verified, parsed, COPYed; nothing is checked on the way."""

    def __init__(self, state: Path) -> None:
        self._bank = Bank(state)

    def run(self, paid: Sequence[tuple[str, str, str, str]]) -> None:
        texts = list(self._build(paid))
        signed = [(text, self._bank._signed(text)) for text in texts]
        self._store(row for text, _ in signed for row in self._parse(text))

    @staticmethod
    def _build(paid: Sequence[tuple[str, str, str, str]]) -> Iterator[bytes]:
        for start in range(0, len(paid), LINES):
            lines = "".join(
                f"<Detail><Id>{number}</Id><VoucherNo>SQD2026000001</VoucherNo><FundTypeCode>11</FundTypeCode>"
                f"<FundTypeName>一般公共预算</FundTypeName><AgencyCode>101002</AgencyCode><AgencyName>市第一中学"
                f"</AgencyName><ExpFuncCode>2050204</ExpFuncCode><ExpFuncName>高中教育</ExpFuncName><ExpEcoCode>50501"
                f"</ExpEcoCode><ExpEcoName>工资福利支出</ExpEcoName><PayeeAcctNo>{card}</PayeeAcctNo><PayeeAcctName>"
                f"{name}</PayeeAcctName><PayeeAcctBankName>{bank}</PayeeAcctBankName><PayAmt>{net}</PayAmt></Detail>"
                for number, (name, card, bank, net) in enumerate(paid[start : start + LINES], start=1)
            )
            yield base64.b64encode(
                f"<Voucher><VtCode>5201</VtCode><DetailList>{lines}</DetailList></Voucher>".encode("gbk")
            )

    @staticmethod
    def _parse(text: bytes) -> Iterator[tuple[str, ...]]:
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        root = etree.fromstring(b'<?xml version="1.0" encoding="GBK"?>' + base64.b64decode(text), parser)
        number = sm3_hex(text)[:20]
        for detail in root.iter("Detail"):
            yield (number, *(child.text or "" for child in detail))

    @staticmethod
    def _store(rows: Iterator[tuple[str, ...]]) -> None:
        buffer = io.StringIO()
        at = datetime.now(UTC).isoformat()
        for number, row in enumerate(rows):
            buffer.write("\t".join((str(number), *row, at)) + "\n")
        buffer.seek(0)
        columns = ", ".join(f"c{place} text" for place in range(15))
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TEMP TABLE limit_rows (id bigint PRIMARY KEY, {columns}, at timestamptz, UNIQUE (c0, c1))"
            )
            cursor.execute("CREATE INDEX ON limit_rows (c11)")
            cursor.cursor.copy_expert("COPY limit_rows FROM STDIN", buffer)
            cursor.execute("DROP TABLE limit_rows")
