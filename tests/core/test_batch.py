"""Set-based writes must store exactly what row-by-row writes would."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Sum

from budget.models import BudgetIndicator
from core.batch import copy_lines, copy_rows, csv_text, update_from_values
from core.models import NumberCounter, Transition
from demo import world
from monitoring.models import Alert
from parties.models import BudgetUnit
from tests import acts

NOW = datetime(2026, 6, 15, 1, 0, 0, 123456, tzinfo=UTC)

HOSTILE = [
    "",
    "\\N",
    "\\.",
    "N",
    'a"b',
    '"',
    '""',
    "a,b",
    "a\nb",
    "a\r\nb",
    "\n",
    "\t",
    "\\",
    "\\\\",
    "'",
    "NULL",
    "null",
]
HOSTILE += ["甲银行“回单”", "🙂", "{1,2}", "a\\nb", " x ", "%s", "$1", "-- ", "\u3000"]


def event(**changes):
    values = {
        "adm_div_code": world.REGION,
        "fiscal_year": 2026,
        "document_type": "x",
        "document_id": uuid4(),
        "action": "a",
        "source": "s",
        "target": "t",
        "person_id": None,
        "actor_name": "n",
        "at": NOW,
    }
    return Transition(**(values | changes))


def test_every_text_comes_back_as_it_was(db):
    copy_rows([event(reason=text) for text in HOSTILE])

    assert list(Transition.objects.order_by("id").values_list("reason", flat=True)) == HOSTILE


def test_a_hostile_last_column_does_not_end_the_copy(db):
    """`\\.` alone on a line is where a COPY ends."""
    copy_rows([event(document_type="\\."), event(document_type="after")])
    assert list(Transition.objects.order_by("id").values_list("document_type", flat=True)) == ["\\.", "after"]


def test_null_time_uuid_and_number_come_back_with_their_types(db):
    person = uuid4()
    copy_rows([event(person_id=person), event(person_id=None)])

    first, second = Transition.objects.order_by("id")
    assert (first.person_id, first.at, first.fiscal_year) == (person, NOW, 2026)
    assert second.person_id is None


def test_json_comes_back_as_json(city):
    facts = {"payees": [{"name": '乙"行,\\N', "amount": "1.00"}], "none": None}
    common = {"adm_div_code": world.REGION, "fiscal_year": 2026, "document_type": "x", "document_id": uuid4()}
    copy_rows(
        [
            Alert(
                **common, document_no="1", revision=1, unit_code="1", business_date=world.DAY, rule_code="M01",
                rule_version=1, severity="red", action="block", message="m", facts=facts, amount=Decimal("1.00"),
                state="blocked", raised_at=NOW,
            )
        ]
    )  # fmt: skip
    assert Alert.objects.get().facts == facts


def test_constraints_hold_as_for_an_insert(db):
    """As Django's error, which is what callers catch, not the driver's."""
    with pytest.raises(IntegrityError), transaction.atomic():
        copy_rows([event(), event(action=None)])
    assert Transition.objects.count() == 0


def test_a_check_holds_in_a_set_based_update_too(city):
    with pytest.raises(IntegrityError), transaction.atomic():
        update_from_values(BudgetIndicator, {"amount_frozen": "numeric"}, [(world.indicator("I1").id, Decimal("-1"))])
    assert world.indicator("I1").amount_frozen == 0


def test_many_rows_are_one_statement(city):
    with acts.statements() as counted:
        copy_rows([event() for _ in range(700)])
    assert len(counted) == 1


def test_nothing_to_write_writes_nothing(django_assert_num_queries, db):
    with django_assert_num_queries(0):
        copy_rows([])
        assert update_from_values(BudgetIndicator, {"amount_total": "numeric"}, []) == 0


def test_many_rows_change_in_one_statement_each_to_its_own_value(city):
    one, two, three = BudgetUnit.objects.order_by("code")[:3]

    with acts.statements() as counted:
        changed = update_from_values(BudgetUnit, {"name": "text"}, sorted([(one.id, "a'b%s"), (two.id, "\\N")]))

    assert (changed, len(counted)) == (2, 1)
    assert list(BudgetUnit.objects.order_by("code").values_list("name", flat=True)[:3]) == ["a'b%s", "\\N", three.name]


def test_with_add_the_change_is_added_to_what_is_there(city):
    one = world.indicator("I1")
    update_from_values(BudgetIndicator, {"amount_frozen": "numeric"}, [(one.id, Decimal("0.10"))], add=True)
    update_from_values(BudgetIndicator, {"amount_frozen": "numeric"}, [(one.id, Decimal("0.20"))], add=True)
    assert world.indicator("I1").amount_frozen == Decimal("0.30")


# Lines as they come -------------------------------------------------------------------------------------------------

COUNTER = ("adm_div_code", "fiscal_year", "kind", "last")


def test_lines_are_stored_as_a_generator_spells_them(db):
    texts = ['a"b', "a,b", "\\N", "\\.", "", "汉字"]
    copy_lines(NumberCounter, COUNTER, (f"990100000,2026,{csv_text(text)},1\n" for text in texts))
    assert set(NumberCounter.objects.values_list("kind", flat=True)) == set(texts)


def test_more_lines_than_one_piece_holds_arrive_all(db):
    copy_lines(NumberCounter, COUNTER, (f"990100000,2026,k{number},{number}\n" for number in range(5000)))
    assert NumberCounter.objects.aggregate(all=Sum("last"))["all"] == sum(range(5000))


def test_what_a_generator_raises_is_raised_and_nothing_is_stored(db):
    class Wrong(Exception):
        pass

    def lines():
        yield "990100000,2026,first,1\n"
        raise Wrong("half way")

    with pytest.raises(Wrong), transaction.atomic():
        copy_lines(NumberCounter, COUNTER, lines())
    assert not NumberCounter.objects.exists()
