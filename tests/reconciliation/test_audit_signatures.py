"""One byte changed in a voucher, approval, seal, stamp, message or log row: the audit turns red and names it."""

from dataclasses import dataclass

import pytest
from django.utils import timezone

from reconciliation.audit.findings import Scope
from reconciliation.audit.runner import choose, examine
from tests.reconciliation.sealed_city import as_owner, sealed_city, sealing_pki  # noqa: F401


@dataclass(frozen=True)
class Change:
    """One row changed by one byte (or removed): the statement returns its id; which invariants must name it."""

    name: str
    table: str
    red: frozenset[str]
    statement: str


def bytes_flipped(table: str, column: str, where: str = "true", at: int = 20, key: str = "id") -> str:
    return (
        f"UPDATE {table} SET {column} = set_byte({column}, {at}, get_byte({column}, {at}) # 1) "
        f"WHERE {key} = (SELECT {key} FROM {table} WHERE {where} ORDER BY {key} LIMIT 1) RETURNING {key}"
    )


def text_flipped(table: str, column: str, where: str = "true", key: str = "id") -> str:
    return (
        f"UPDATE {table} SET {column} = overlay({column} PLACING "
        f"CASE WHEN substr({column}, 12, 1) = '1' THEN '2' ELSE '1' END FROM 12 FOR 1) "
        f"WHERE {key} = (SELECT {key} FROM {table} WHERE {where} ORDER BY {key} LIMIT 1) RETURNING {key}"
    )


def case(name: str, table: str, red: str, statement: str) -> Change:
    return Change(name, table, frozenset(red.split()), statement)


V, S, G = "vouchers_voucher", "seals_stamp", "seals_statementsignature"
P, D, E = "seals_stepsignature", "parties_reviewdecision", "evidence_entry"
CHANGES = [
    case("text of a voucher", V, "I07 I18", bytes_flipped(V, "text", "voucher_type = '5201'", 200)),
    case("digest of a voucher", V, "I07 I18", text_flipped(V, "digest", "voucher_type = '5201'")),
    case("signature of a voucher", V, "I07 I18", text_flipped(V, "signature", "voucher_type = '5201'")),
    case("serial of a signature", V, "I07 I18", text_flipped(V, "signature_serial", "voucher_type = '5201'")),
    case("a stamp, near its end", S, "I07 I18", bytes_flipped(S, "der", at=-0 + 900)),
    case("a stamp, in its picture", S, "I07 I18", bytes_flipped(S, "der", at=400)),
    case("a stamp's digest", S, "I07", text_flipped(S, "digest_sm3")),
    case("a stamp's position", S, "I07 I18", f"UPDATE {S} SET position = 'cz_xx' WHERE ordinal = 1 RETURNING id"),
    case("a stamp removed", S, "I07 I18", f"DELETE FROM {S} WHERE ordinal = 1 RETURNING id"),
    case("a filed seal", "seals_eseal", "I18", bytes_flipped("seals_eseal", "der", at=300)),
    case("an officer's signature", G, "I06 I18", bytes_flipped(G, "signature", at=30)),
    case("a statement, sum", G, "I06 I18", f"UPDATE {G} SET text = replace(text, '1234.50', '9234.50') RETURNING id"),
    case("a statement, person", G, "I06 I18", f"UPDATE {G} SET text = replace(text, 'person_id\":\"0', 'person_id\":\"1') RETURNING id"),  # noqa: E501
    case("an item, payee", P, "I06 I18", f"UPDATE {P} SET item = replace(item, '晨光', '晨元') RETURNING id"),
    case("a path", P, "I06 I18", f"UPDATE {P} SET path = '[\"{'0' * 64}\"]' RETURNING id"),
    case("a step's digest", P, "I06 I18", text_flipped(P, "signature_sm3")),
    case("a decision's digest", D, "I06 I18", text_flipped(D, "content_digest")),
    case("a decision's reason", D, "I18", f"UPDATE {D} SET reason = 'x' RETURNING id"),
    case("a decision's signature", D, "I06 I18", f"UPDATE {D} SET signature_id = id RETURNING id"),
    case("a decision removed", D, "I06 I18", f"DELETE FROM {D} WHERE ordinal = 2 RETURNING id"),
    case("a received message", "vouchers_inboxmessage", "I18", bytes_flipped("vouchers_inboxmessage", "text", at=99)),
    case(
        "a received stamp", "vouchers_inboxmessage", "I18",
        "UPDATE vouchers_inboxmessage SET stamps = '[]' RETURNING id",
    ),
    case("an entry's digest", E, "I18", text_flipped(E, "payload_sm3", "seq = 3")),
    case("an entry's link", E, "I18", text_flipped(E, "prev", "seq = 3")),
    case("an entry's own digest", E, "I18", text_flipped(E, "entry_sm3", "seq = 3")),
    case("an entry's subject", E, "I18", text_flipped(E, "subject_id", "seq = 3")),
    case("an entry removed", E, "I18", f"DELETE FROM {E} WHERE seq = 3 RETURNING id"),
    case("the tail of the log", E, "I18", f"DELETE FROM {E} WHERE seq = (SELECT max(seq) FROM {E}) RETURNING id"),
    case("a root", "evidence_evidenceroot", "I18", text_flipped("evidence_evidenceroot", "root")),
    case("a root's signature", "evidence_evidenceroot", "I18", bytes_flipped("evidence_evidenceroot", "signature")),
    case("a time stamp", "evidence_roottimestamp", "I18", bytes_flipped("evidence_roottimestamp", "token", at=120)),
    case("a certificate", "seals_certificate", "I07 I18", text_flipped("seals_certificate", "serial_hex")),
]  # fmt: skip


@pytest.fixture
def history(sealed_city, settings, tmp_path):  # noqa: F811
    """A direct payment sealed with UKeys and stamps, its stamped receipt, and the log over all of it."""
    settings.GUOKU_ANCHOR_FILE = str(tmp_path / "anchors.jsonl")
    voucher = sealed_city.sealed("I4", "1234.50")
    sealed_city.receipted(voucher)
    sealed_city.anchored()
    return sealed_city


def findings():
    scope = Scope(None, timezone.now())
    return {invariant.id: examine(invariant, scope, sample=1000) for invariant in choose(["I06", "I07", "I18"])}


def test_an_honest_history_is_clean(history):
    for result in findings().values():
        assert [str(sample) for sample in result.samples] == [], result.id


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_one_change_is_found_and_named(history, change):
    with as_owner() as cursor:
        cursor.execute(change.statement)
        changed = {str(row[0]) for row in cursor.fetchall()}
    assert changed, "the statement changed nothing"

    found = findings()

    assert {name for name, result in found.items() if result.status == "broken"} >= change.red
    named = {(sample.table, sample.id) for result in found.values() for sample in result.samples}
    assert any(row in identifier or identifier in row for _table, identifier in named for row in changed) or any(
        change.table == table for table, _identifier in named
    ), named
