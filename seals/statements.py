"""Statements of officers (办理声明): what an officer signs with the UKey, and over which documents.

Plain Python: the server, the officer's agent and the offline verifier read statements with this one code. Texts are
read strictly, so that each statement and each item has exactly one spelling, and whatever is shown is what is signed.
Who may say it, whether the nonce is fresh and whether the signature holds is decided by the caller.
Source: docs/signatures.md §2-4.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.merkle import EMPTY, inclusion_path, leaf_hash, root_of, verify_inclusion
from seals.errors import StatementExpired, StatementItemsDisagree, StatementMalformed

DOMAIN = b"GUOKU-STATEMENT-V1\0"
VERSION = 1
DOCUMENT_ACTIONS = frozenset({"approve", "return", "reject", "stamp", "seal"})
PERSON_ACTIONS = frozenset({"login", "enrol", "renew"})  # concern the officer, no document
REASONED_ACTIONS = frozenset({"return", "reject"})
MOST_ITEMS = 500
LIFETIME = timedelta(minutes=5)
CLOCK_LEEWAY = timedelta(minutes=1)  # between the server's clock and the one that checks
LONGEST_ITEM, LONGEST_STATEMENT = 4096, 8192  # characters
LONGEST_PATH = MOST_ITEMS.bit_length()

_INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_ACTING_FOR = re.compile(r"代\S.{0,39}办理")  # written by `parties.delegating.acting_note`
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_HEX_64_OR_NONE = re.compile(r"([0-9a-f]{64})?")
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,13})\.[0-9]{2}")
_SUM = re.compile(r"(0|[1-9][0-9]{0,16})\.[0-9]{2}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}")
_REGION = re.compile(r"([0-9]{6,9})?")
_POST = re.compile(r"([a-z][a-z_]{0,39})?")
_NONCE = re.compile(r"[0-9a-f]{32}")
_ORIGIN = re.compile(r"https?://([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(:[1-9][0-9]{0,4})?")
# Characters that hide, reorder or break text would let the page show something else than is signed. Private-use ones
# are kept: rare characters of names have lived there since GB 18030-2000.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@dataclass(frozen=True)
class Item:
    """One document (or voucher) an officer decides on. Amounts are wire text in yuan, digests SM3 in hexadecimal."""

    amount: str
    digest: str
    document_id: str
    document_no: str
    former: str  # SM3 of the former step's signature value, "" for the first
    payee: str
    revision: int


@dataclass(frozen=True)
class Statement:
    """What the officer signs. `root`, `count` and `sum` bind the items; `origin` the site that showed them."""

    action: str
    adm_div_code: str
    certificate_sm3: str
    count: int
    expires_at: str
    issued_at: str
    nonce: str
    note: str
    officer: str
    origin: str
    person_id: str
    post: str
    root: str
    sum: str
    v: int


def canonical(value: Any) -> bytes:
    """Canonical JSON of text, integers, lists, objects and null. Source: docs/signatures.md §2.

    :raises StatementMalformed: for a float, a truth value, another type, or text that is not Unicode.
    """
    _check_plain(value)
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise StatementMalformed("文本含有不成对的代理字符。") from error


def instant(moment: datetime) -> str:
    """The wire form of an aware instant: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime(_INSTANT_FORMAT)


def item_text(item: Item) -> str:
    """The item's canonical JSON, which is its Merkle leaf.

    :raises StatementMalformed: if a field is not of its form.
    """
    _check_item(item)
    return canonical(asdict(item)).decode("utf-8")


def statement_text(statement: Statement) -> str:
    """The statement's canonical JSON.

    :raises StatementMalformed: if a field is not of its form.
    """
    _check_statement(statement)
    return canonical(asdict(statement)).decode("utf-8")


def parse_item(text: str) -> Item:
    """Read an item from its canonical JSON.

    :raises StatementMalformed: for any other spelling, a missing or unknown key, or a field not of its form.
    """
    item = Item(**_read(text, Item, LONGEST_ITEM))
    _check_item(item)
    return item


def parse_statement(text: str) -> Statement:
    """Read a statement from its canonical JSON.

    :raises StatementMalformed: as `parse_item`.
    """
    statement = Statement(**_read(text, Statement, LONGEST_STATEMENT))
    _check_statement(statement)
    return statement


def tbs(text: str) -> bytes:
    """The bytes the officer's key signs for a statement text: the domain keeps them from meaning anything else."""
    return DOMAIN + text.encode("utf-8")


def build_statement(
    *,
    action: str,
    adm_div_code: str,
    certificate_sm3: str,
    issued_at: datetime,
    nonce: str,
    officer: str,
    origin: str,
    person_id: str,
    post: str,
    items: Sequence[Item] = (),
    note: str = "",
    lifetime: timedelta = LIFETIME,
) -> Statement:
    """The statement over `items`, in their order; none for a log-in, an enrolment or a renewal.

    :raises StatementMalformed: if a field is not of its form.
    :raises StatementItemsDisagree: if there are too many items, or a document twice.
    """
    _check_each_once(items)
    statement = Statement(
        action=action,
        adm_div_code=adm_div_code,
        certificate_sm3=certificate_sm3,
        count=len(items),
        expires_at=instant(issued_at + lifetime),
        issued_at=instant(issued_at),
        nonce=nonce,
        note=note,
        officer=officer,
        origin=origin,
        person_id=person_id,
        post=post,
        root=root_of(_leaves(items)).hex(),
        sum=_sum(items),
        v=VERSION,
    )
    _check_statement(statement)
    return statement


def check_items(statement: Statement, item_texts: Sequence[str]) -> list[Item]:
    """The items, read strictly, if the statement is about exactly these in this order.

    :raises StatementMalformed: if an item is not of its form.
    :raises StatementItemsDisagree: if number, sum or root differ, there are too many, or a document comes twice.
    """
    if len(item_texts) > MOST_ITEMS:
        raise StatementItemsDisagree(f"一次最多办理 {MOST_ITEMS} 笔。", count=len(item_texts))
    items = [parse_item(text) for text in item_texts]
    _check_each_once(items)
    rebuilt = {"count": len(items), "sum": _sum(items), "root": root_of(_leaves(items)).hex()}
    stated = {name: getattr(statement, name) for name in rebuilt}
    if rebuilt != stated:
        wrong = next(name for name in rebuilt if rebuilt[name] != stated[name])
        raise StatementItemsDisagree("单据清单与声明不符，不能签名。", field=wrong, stated=stated, rebuilt=rebuilt)
    return items


def check_time(statement: Statement, now: datetime) -> None:
    """Whether the statement may still be signed or accepted at `now` (aware).

    :raises StatementExpired: after its expiry, or before its issue by more than the leeway between two clocks.
    """
    if now > _moment(statement.expires_at, "expires_at"):
        raise StatementExpired("声明已过期，请重新办理。", expires_at=statement.expires_at, now=instant(now))
    if now < _moment(statement.issued_at, "issued_at") - CLOCK_LEEWAY:
        raise StatementExpired(
            "声明的签发时间晚于本机时间，请校准时钟。", issued_at=statement.issued_at, now=instant(now)
        )


def path_of(items: Sequence[Item], index: int) -> list[str]:
    """The proof that item `index` (from 0) is under the root over `items`: hashes in hexadecimal, bottom first.

    :raises IndexError: if there is no such item.
    """
    return [node.hex() for node in inclusion_path(_leaves(items), index)]


def verify_item(statement: Statement, text: str, index: int, path: Sequence[str]) -> bool:
    """Whether the path proves that this item text is number `index` (from 0) of the statement's items."""
    if len(path) > LONGEST_PATH or not all(isinstance(node, str) and _HEX_64.fullmatch(node) for node in path):
        return False
    nodes = [bytes.fromhex(node) for node in path]
    leaf = leaf_hash(text.encode("utf-8", "surrogatepass"))
    return verify_inclusion(leaf, index, statement.count, nodes, bytes.fromhex(statement.root))


def _leaves(items: Sequence[Item]) -> list[bytes]:
    return [leaf_hash(item_text(item).encode("utf-8")) for item in items]


def _sum(items: Sequence[Item]) -> str:
    return f"{sum((Decimal(item.amount) for item in items), Decimal('0.00')):.2f}"


def _check_each_once(items: Sequence[Item]) -> None:
    if len(items) > MOST_ITEMS:
        raise StatementItemsDisagree(f"一次最多办理 {MOST_ITEMS} 笔。", count=len(items))
    seen: set[str] = set()
    for item in items:
        if item.document_id in seen:
            raise StatementItemsDisagree("同一单据在清单中出现两次。", document_id=item.document_id)
        seen.add(item.document_id)


def _check_plain(value: Any) -> None:
    if value is None or type(value) in (str, int):
        return
    if type(value) is list:
        for member in value:
            _check_plain(member)
    elif type(value) is dict and all(type(key) is str for key in value):
        for member in value.values():
            _check_plain(member)
    else:
        raise StatementMalformed("规范 JSON 只含文本、整数、列表、对象和空值。", type=type(value).__name__)


def _read(text: str, kind: type[Item] | type[Statement], longest: int) -> dict[str, Any]:
    """The object in `text`, if it has exactly the keys of `kind` and the text is its canonical spelling."""
    if type(text) is not str or len(text) > longest:
        raise StatementMalformed("不是规范 JSON 文本，或过长。")
    try:
        value = json.loads(text)
        spelling = canonical(value).decode("utf-8")
    except (ValueError, RecursionError) as error:
        raise StatementMalformed("不是规范 JSON 文本。") from error
    names = {field.name for field in fields(kind)}
    if not isinstance(value, Mapping) or set(value) != names:
        given = set(value) if isinstance(value, Mapping) else set()
        raise StatementMalformed("字段缺失或多余。", missing=sorted(names - given), unknown=sorted(given - names)[:5])
    if spelling != text:  # a key twice, blanks, another order, escapes: two spellings would have two digests
        raise StatementMalformed("不是规范 JSON 的写法。")
    return dict(value)


def _check_item(item: Item) -> None:
    _match(item.amount, _AMOUNT, "amount")
    _match(item.digest, _HEX_64, "digest")
    _match(item.document_id, _IDENTIFIER, "document_id")
    _check_text(item.document_no, "document_no", 1, 64)
    _match(item.former, _HEX_64_OR_NONE, "former")
    _check_text(item.payee, "payee", 0, 200)
    _check_number(item.revision, "revision", 2**31 - 1)


def _check_statement(statement: Statement) -> None:
    if type(statement.v) is not int or statement.v != VERSION:
        raise StatementMalformed("不认识的声明版本。", field="v")
    if type(statement.action) is not str or statement.action not in DOCUMENT_ACTIONS | PERSON_ACTIONS:
        raise StatementMalformed("不认识的办理动作。", field="action")
    _match(statement.adm_div_code, _REGION, "adm_div_code")
    _match(statement.certificate_sm3, _HEX_64, "certificate_sm3")
    _match(statement.nonce, _NONCE, "nonce")
    _check_text(statement.note, "note", 0, 500, also="\n")
    _check_text(statement.officer, "officer", 1, 100)
    _match(statement.origin, _ORIGIN, "origin")
    _match(statement.person_id, _IDENTIFIER, "person_id")
    _match(statement.post, _POST, "post")
    _match(statement.root, _HEX_64, "root")
    _match(statement.sum, _SUM, "sum")
    _check_number(statement.count, "count", MOST_ITEMS)
    life = _moment(statement.expires_at, "expires_at") - _moment(statement.issued_at, "issued_at")
    if not timedelta(0) < life <= LIFETIME:
        raise StatementMalformed("声明的有效期须大于零且不超过 5 分钟。", field="expires_at")
    if not _note_fits(statement):
        raise StatementMalformed("退回、否决须写明原因，其他动作不写。", field="note")
    if statement.action in DOCUMENT_ACTIONS:
        if not (statement.count and statement.adm_div_code and statement.post):
            raise StatementMalformed("办理单据须写明笔数、行政区划和岗位。", field="count")
    elif (statement.count, statement.sum, statement.root) != (0, "0.00", EMPTY.hex()):
        raise StatementMalformed("登录和证书办理不含单据。", field="count")


def _match(value: object, pattern: re.Pattern[str], field: str) -> None:
    if type(value) is not str or not pattern.fullmatch(value):
        raise StatementMalformed(f"{field} 格式不正确。", field=field)


def _check_number(value: object, field: str, most: int) -> None:
    if type(value) is not int or not 0 <= value <= most:
        raise StatementMalformed(f"{field} 须为 0 至 {most} 的整数。", field=field)


def _note_fits(statement: Statement) -> bool:
    """A return or refusal says why; an approval at most for whom it was given (委托); nothing else says anything."""
    note = statement.note
    if statement.action in REASONED_ACTIONS:
        return bool(note) and note == note.strip()
    return not note or (statement.action == "approve" and _ACTING_FOR.fullmatch(note) is not None)


def _check_text(value: object, field: str, shortest: int, longest: int, *, also: str = "") -> None:
    if type(value) is not str or not shortest <= len(value) <= longest:
        raise StatementMalformed(f"{field} 须为 {shortest} 至 {longest} 个字。", field=field)
    for character in value:
        if character not in also and unicodedata.category(character) in _UNSEEN:
            raise StatementMalformed(f"{field} 含有不可见字符。", field=field, code_point=f"U+{ord(character):04X}")


def _moment(value: object, field: str) -> datetime:
    try:
        moment = datetime.strptime(value, _INSTANT_FORMAT).replace(tzinfo=UTC)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise StatementMalformed(f"{field} 须为 UTC 时间，如 2026-06-15T01:00:00Z。", field=field) from error
    if instant(moment) != value:  # strptime also takes single digits
        raise StatementMalformed(f"{field} 须为 UTC 时间，如 2026-06-15T01:00:00Z。", field=field)
    return moment
