"""Statements and items have one spelling each, and a statement holds for its own items only."""

import json
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import TreasuryError
from core.merkle import EMPTY
from seals import statements
from seals.errors import StatementExpired, StatementItemsDisagree, StatementMalformed, StatementRefused
from seals.statements import (
    DOMAIN,
    Item,
    Statement,
    canonical,
    check_items,
    check_time,
    instant,
    item_text,
    parse_item,
    parse_statement,
    path_of,
    statement_text,
    tbs,
    verify_item,
)
from tests.ukey.officers import item, statement

NOON = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
ITEM = item()
LOGIN = {"action": "login", "adm_div_code": "", "post": ""}


def spelt(thing: Item | Statement, **changed: Any) -> str:
    """The canonical text of these fields, whether or not they are of their form."""
    return json.dumps(asdict(thing) | changed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def made(*items: Item, **changed: Any) -> Statement:
    return statement(items or (ITEM,), at=NOON, **changed)


# The bytes -----------------------------------------------------------------------------------------------------------


def test_an_item_is_written_as_the_contract_says() -> None:
    digest = "d" * 64
    one = Item("1234.50", digest, "0197a0b0", "ZF2026000001", "", "临江市供水有限公司", 2)

    assert item_text(one) == (
        '{"amount":"1234.50","digest":"' + digest + '","document_id":"0197a0b0","document_no":"ZF2026000001",'
        '"former":"","payee":"临江市供水有限公司","revision":2}'
    )


def test_a_statement_is_written_as_the_contract_says_and_signed_under_its_domain() -> None:
    text = statement_text(statement((), at=NOON, certificate_sm3="c" * 64, **LOGIN))

    assert text == (
        '{"action":"login","adm_div_code":"","certificate_sm3":"' + "c" * 64 + '","count":0,'
        '"expires_at":"2026-06-15T04:05:00Z","issued_at":"2026-06-15T04:00:00Z",'
        '"nonce":"0123456789abcdef0123456789abcdef","note":"","officer":"王知远","origin":"http://127.0.0.1:8000",'
        '"person_id":"P-0007","post":"",'
        '"root":"1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b","sum":"0.00","v":1}'
    )
    assert tbs(text) == b"GUOKU-STATEMENT-V1\0" + text.encode("utf-8")
    assert DOMAIN.endswith(b"\0") and b"{" not in DOMAIN


def test_texts_come_back_as_they_were_written() -> None:
    one = made(ITEM, item(2), action="return", note="附件不全，\n请补充。")
    assert parse_statement(statement_text(one)) == one
    assert parse_item(item_text(ITEM)) == ITEM


def test_an_instant_is_written_in_utc_and_whole_seconds() -> None:
    shanghai = datetime.fromisoformat("2026-06-15T12:00:00.900000+08:00")
    assert instant(shanghai) == "2026-06-15T04:00:00Z"


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), True, {"a": 1.5}, [[False]], {1: "a"}, Decimal("1.00"), NOON, (1,), b"a"]
)
def test_what_canonical_json_may_not_hold_is_refused(value: Any) -> None:
    with pytest.raises(StatementMalformed):
        canonical(value)


def test_canonical_json_refuses_half_a_character() -> None:
    with pytest.raises(StatementMalformed):
        canonical({"a": "\ud800"})


whole = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
plain = st.recursive(
    st.none() | st.integers() | whole,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(whole, inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_canonical_json_spells_a_value_in_one_way(value: Any) -> None:
    spelling = canonical(value)
    assert json.loads(spelling) == value
    assert canonical(json.loads(spelling)) == spelling


# Reading strictly ----------------------------------------------------------------------------------------------------

TEXTS = {Item: spelt(ITEM), Statement: spelt(made())}
READ: dict[type, Any] = {Item: parse_item, Statement: parse_statement}
EVERY_FIELD = [(kind, field.name) for kind in (Item, Statement) for field in fields(kind)]


@pytest.mark.parametrize(("kind", "name"), EVERY_FIELD)
def test_a_missing_field_is_refused(kind: type, name: str) -> None:
    value = json.loads(TEXTS[kind])
    del value[name]
    with pytest.raises(StatementMalformed) as refusal:
        READ[kind](canonical(value).decode())
    assert refusal.value.facts["missing"] == [name]


WRONG = [None, True, 1.0, 1.5, -1, [], {}, ["a"], "", " ", "\n", "\x00", "x" * 9000]
MAY_BE_EMPTY, MAY_BE_BLANK = {"former", "note", "payee"}, {"document_no", "payee", "officer"}


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        (kind, name, wrong)
        for kind, name in EVERY_FIELD
        for wrong in WRONG
        if not (wrong == "" and name in MAY_BE_EMPTY) and not (wrong == " " and name in MAY_BE_BLANK)
    ],
)
def test_a_field_of_another_type_or_form_is_refused(kind: type, name: str, wrong: Any) -> None:
    with pytest.raises(StatementMalformed):
        READ[kind](spelt(ITEM if kind is Item else made(), **{name: wrong}))


@pytest.mark.parametrize("kind", [Item, Statement])
@pytest.mark.parametrize(
    "respell",
    [
        lambda text: text.replace(",", ", ", 1),
        lambda text: text.replace(":", ": ", 1),
        lambda text: text + " ",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: "\ufeff" + text,
        lambda text: text[:-1] + ',"zzz":1}',
        lambda text: text[:-1] + ',"v":1}',
        lambda text: text[:-1] + ',"revision":1}',
        lambda text: "{" + text[1:-1].partition(",")[0] + "," + text[1:],
        lambda text: "[" + text + "]",
        lambda text: json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")),  # \u escapes
        lambda text: json.dumps(dict(reversed(json.loads(text).items())), separators=(",", ":"), ensure_ascii=False),
        lambda text: text.replace("/", "\\/").replace("0", "\\u0030", 1),
        lambda text: text.replace('":1', '":1.0', 1),
        lambda text: text.replace('":1', '":1e0', 1),
        lambda text: text.replace('":1', '":01', 1),
        lambda text: text.replace('":1', '":-1', 1),
        lambda text: text.replace('":1', '":' + "1" * 4000, 1),
        lambda text: text.replace('":1', '":NaN', 1),
        lambda text: text[:-1],
        lambda text: text + text,
        lambda text: "null",
        lambda text: '"' + text.replace('"', '\\"') + '"',
        lambda text: "[" * 4000,
        lambda text: "",
    ],
)  # fmt: skip
def test_another_spelling_is_refused(kind: type, respell: Any) -> None:
    assert respell(TEXTS[kind]) != TEXTS[kind]
    with pytest.raises(StatementMalformed):
        READ[kind](respell(TEXTS[kind]))


@pytest.mark.parametrize("kind", [Item, Statement])
def test_only_text_is_read(kind: type) -> None:
    for given_ in (TEXTS[kind].encode(), json.loads(TEXTS[kind]), None, 1):
        with pytest.raises(StatementMalformed):
            READ[kind](given_)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("amount", wrong) for wrong in
        ("1234.5", "1234", "1234.500", "01.00", "-1.00", "+1.00", "1,234.00", "1e3", "NaN", "１.00", " 1.00", "1.00\n",
         "100000000000000.00")
    ] + [
        ("digest", wrong) for wrong in ("A" * 64, "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n")
    ] + [
        ("former", "a" * 63), ("former", "A" * 64),
        ("document_id", "../1"), ("document_id", "a b"), ("document_id", "a" * 65), ("document_id", "文"),
        ("document_no", "n" * 65), ("payee", "p" * 201),
        ("payee", "临江\u202e市供水"), ("payee", "临江\u200b市"), ("payee", "临江\t市"), ("payee", "临江\u2028市"),
        ("payee", "临江\u00ad市"), ("document_no", "ZF\u2066 1"),
        ("revision", 2**31), ("revision", "1"),
    ],
)  # fmt: skip
def test_an_item_field_not_of_its_form_is_refused(name: str, wrong: Any) -> None:
    with pytest.raises(StatementMalformed) as refusal:
        parse_item(spelt(ITEM, **{name: wrong}))
    assert refusal.value.field == name
    with pytest.raises(StatementMalformed):
        item_text(replace(ITEM, **{name: wrong}))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("v", 0), ("v", 2), ("v", "1"), ("v", True),
        ("action", "pay"), ("action", "APPROVE"), ("action", "approve "), ("action", ["approve"]),
        ("adm_div_code", "99010000a"), ("adm_div_code", "9901000000"), ("adm_div_code", "990"), ("adm_div_code", ""),
        ("certificate_sm3", "C" * 64), ("count", -1), ("count", 501), ("count", "1"), ("count", 0),
        ("nonce", "0" * 31), ("nonce", "0" * 33), ("nonce", "G" * 32),
        ("officer", "王\u202e知远"), ("officer", "王" * 101), ("note", "多余的说明"),
        ("origin", "*"), ("origin", "null"), ("origin", "http://127.0.0.1:8000/"), ("origin", "HTTP://a"),
        ("origin", "file:///a"), ("origin", "http://a@b"), ("origin", "https://a.b?c"), ("origin", "http://a:0"),
        ("person_id", "P 7"), ("person_id", ""), ("post", "Payment"), ("post", ""), ("post", "a" * 41),
        ("root", "0" * 63), ("sum", "1"), ("sum", "-1.00"), ("sum", "01.00"),
        ("issued_at", "2026-06-15 04:00:00"), ("issued_at", "2026-06-15T04:00:00+00:00"),
        ("issued_at", "2026-6-15T04:00:00Z"), ("issued_at", "2026-02-30T04:00:00Z"),
        ("issued_at", "2026-06-15T04:00:00.5Z"), ("issued_at", "２026-06-15T04:00:00Z"),
        ("expires_at", "2026-06-15T04:00:00Z"), ("expires_at", "2026-06-15T03:59:59Z"),
        ("expires_at", "2026-06-15T04:05:01Z"), ("expires_at", 1781000000),
    ],
)  # fmt: skip
def test_a_statement_field_not_of_its_form_is_refused(name: str, wrong: Any) -> None:
    with pytest.raises(StatementMalformed):
        parse_statement(spelt(made(), **{name: wrong}))


@pytest.mark.parametrize(("action", "note", "accepted"), [
    ("approve", "代赵国强办理", True), ("approve", "代办理", False), ("approve", "代赵\n国强办理", False),
    ("seal", "代赵国强办理", False), ("return", "代赵国强办理 附件不全", True),
    ("return", "附件不全", True), ("reject", "重复支付", True), ("return", "", False), ("reject", " ", False),
    ("return", " 附件不全", False), ("approve", "同意", False), ("seal", "章", False), ("stamp", "", True),
    ("return", "隐\u200b藏", False),
])  # fmt: skip
def test_a_reason_belongs_to_a_return_or_rejection_and_to_nothing_else(action: str, note: str, accepted: bool) -> None:
    text = spelt(made(), action=action, note=note)
    if accepted:
        assert parse_statement(text).note == note
    else:
        with pytest.raises(StatementMalformed):
            parse_statement(text)


@pytest.mark.parametrize("action", ["login", "enrol", "renew"])
@pytest.mark.parametrize(("name", "wrong"), [("count", 1), ("sum", "0.01"), ("root", "0" * 64)])
def test_a_log_in_has_no_documents(action: str, name: str, wrong: Any) -> None:
    person = statement((), at=NOON, action=action)
    assert parse_statement(statement_text(person)).root == EMPTY.hex()
    with pytest.raises(StatementMalformed):
        parse_statement(spelt(person, **{name: wrong}))
    with pytest.raises(StatementMalformed):
        made(ITEM, action=action)


@pytest.mark.parametrize("action", ["approve", "stamp", "seal"])
def test_a_decision_on_no_document_is_refused(action: str) -> None:
    with pytest.raises(StatementMalformed):
        statement((), at=NOON, action=action)


def test_names_with_characters_of_the_private_area_are_kept() -> None:
    assert parse_item(item_text(item(payee="王\ue863"))).payee == "王\ue863"


# A statement and its items -------------------------------------------------------------------------------------------


def texts(*items: Item) -> list[str]:
    return [item_text(one) for one in items]


def test_a_statement_fits_its_items() -> None:
    items = [item(number) for number in range(1, 201)]
    batch = statement(items, at=NOON)

    assert check_items(batch, texts(*items)) == items
    assert (batch.count, batch.sum) == (200, "2010002.00")


def test_500_items_are_a_batch_and_501_are_not() -> None:
    items = [item(number) for number in range(1, 502)]
    most = statement(items[:500], at=NOON)

    assert len(check_items(most, texts(*items[:500]))) == 500
    with pytest.raises(StatementItemsDisagree):
        statement(items, at=NOON)
    with pytest.raises(StatementItemsDisagree):
        check_items(most, texts(*items))


def test_the_greatest_sum_has_room() -> None:
    items = [item(number, amount="99999999999999.99") for number in range(1, 501)]
    batch = statement(items, at=NOON)
    assert batch.sum == "49999999999999995.00"
    assert check_items(parse_statement(statement_text(batch)), texts(*items)) == items


ONE, TWO, THREE = item(1), item(2), item(3)


@pytest.mark.parametrize(
    ("given_items", "wrong"),
    [
        ([ONE, TWO], "count"), ([ONE, TWO, THREE, item(4)], "count"), ([], "count"),
        ([ONE, TWO, replace(THREE, amount="300.02")], "sum"),
        ([ONE, replace(TWO, amount="200.00"), THREE], "sum"),
        ([replace(ONE, amount="200.01"), replace(TWO, amount="100.01"), THREE], "root"),
        ([TWO, ONE, THREE], "root"),
        ([ONE, TWO, replace(THREE, payee="别的收款人")], "root"),
        ([ONE, TWO, replace(THREE, revision=2)], "root"),
        ([ONE, TWO, replace(THREE, digest="0" * 64)], "root"),
        ([ONE, TWO, replace(THREE, former="0" * 64)], "root"),
        ([ONE, TWO, replace(THREE, document_no="ZF2026000009")], "root"),
        ([ONE, TWO, item(9, amount="300.01")], "root"),
    ],
)  # fmt: skip
def test_other_items_than_the_statements_are_refused(given_items: list[Item], wrong: str) -> None:
    batch = statement([ONE, TWO, THREE], at=NOON)
    with pytest.raises(StatementItemsDisagree) as refusal:
        check_items(batch, texts(*given_items))
    assert refusal.value.field == wrong


@pytest.mark.parametrize(
    "changed", [{"sum": "600.04"}, {"sum": "600.02"}, {"count": 2}, {"count": 4}, {"root": "0" * 64}]
)
def test_a_statement_off_by_one_is_refused(changed: dict[str, Any]) -> None:
    batch = replace(statement([ONE, TWO, THREE], at=NOON), **changed)
    with pytest.raises(StatementItemsDisagree):
        check_items(batch, texts(ONE, TWO, THREE))


def test_a_document_twice_is_refused_even_with_another_revision() -> None:
    for again in (ONE, replace(ONE, revision=2), replace(ONE, amount="1.00")):
        with pytest.raises(StatementItemsDisagree):
            statement([ONE, TWO, again], at=NOON)
        with pytest.raises(StatementItemsDisagree):
            check_items(statement([ONE, TWO], at=NOON), texts(ONE, again))


def test_an_item_in_another_spelling_is_refused_though_it_means_the_same() -> None:
    with pytest.raises(StatementMalformed):
        check_items(made(), [item_text(ITEM).replace(",", ", ", 1)])


# Proofs of single items ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 200])
def test_each_item_is_proved_by_its_path_and_by_no_other(size: int) -> None:
    items = [item(number) for number in range(1, size + 1)]
    batch = statement(items, at=NOON)
    for index in {0, size // 2, size - 1}:
        text, path = item_text(items[index]), path_of(items, index)
        assert verify_item(batch, text, index, path)
        assert not verify_item(batch, text, index + 1, path)
        assert not verify_item(batch, text, index, [*path, "0" * 64])
        assert not verify_item(batch, item_text(replace(items[index], amount="0.01")), index, path)
        assert not (path and verify_item(batch, text, index, path[:-1]))


def test_an_item_of_one_statement_is_not_proved_under_another() -> None:
    mine, other = [ONE, TWO], [ONE, THREE]
    path = path_of(mine, 0)
    assert verify_item(statement(mine, at=NOON), item_text(ONE), 0, path)
    assert not verify_item(statement(other, at=NOON), item_text(ONE), 0, path)


@pytest.mark.parametrize("path", [["0"], ["G" * 64], ["A" * 64], [1], ["0" * 64] * 40, ["0" * 64 + "\n"]])
def test_a_malformed_path_proves_nothing_and_breaks_nothing(path: list[Any]) -> None:
    assert verify_item(statement([ONE, TWO], at=NOON), item_text(ONE), 0, path) is False


def test_there_is_no_proof_of_an_item_that_is_not_there() -> None:
    with pytest.raises(IndexError):
        path_of([ONE], 1)
    assert not verify_item(made(), item_text(ITEM), -1, [])


# Time ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "accepted"), [(-61, False), (-60, True), (0, True), (300, True), (301, False)])
def test_a_statement_lives_five_minutes(seconds: int, accepted: bool) -> None:
    moment = NOON + timedelta(seconds=seconds)
    if accepted:
        check_time(made(), moment)
    else:
        with pytest.raises(StatementExpired):
            check_time(made(), moment)


def test_refusals_are_the_treasurys_with_codes_of_their_own() -> None:
    kinds = [StatementMalformed, StatementItemsDisagree, StatementExpired]
    assert all(issubclass(kind, StatementRefused) and issubclass(kind, TreasuryError) for kind in kinds)
    assert len({kind.code for kind in kinds} | {StatementRefused.code}) == 4
    assert statements.VERSION == 1
