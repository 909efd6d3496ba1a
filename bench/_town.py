"""Making 临江市 rich enough for a payday: indicators, plans, quota notices, clearing limits, money at PBoC.

The indicators are opening data; everything after them goes the way it does on any other day, through services,
worker and partners, and is over before the clock starts.
"""

from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from bench import _plan
from bench._office import ORIGIN
from bench._waiting import wait_for
from budget import services
from budget.entries import Context
from budget.models import Quota, QuotaNotice
from core.actors import Actor
from core.calendar import peek_day
from core.money import ZERO
from demo import world
from demo.clients import Desk
from demo.hands import proof_of
from parties.models import BankAccount, BudgetUnit
from vouchers.models import Delivery

TREASURY_ACCOUNT = "990100271000000001"
SPARE = Decimal("10000.00")
AUTOMATIC = {"auto_pay": True, "auto_receipt": True, "auto_arrival": True}


def prepare(planned: list[_plan.Payment], banks: list[Desk], pboc: Desk) -> dict[str, UUID]:
    """Give every bench indicator its quota and PBoC the money; indicator ids by number."""
    for bank in banks:
        bank.post("behaviour", **AUTOMATIC)
    needed = _plan.totals_by_indicator(planned)
    indicators = _import_indicators(needed)
    _grant_quotas(indicators, needed)
    cash = {"name": "BENCH", "account": TREASURY_ACCOUNT, "amount": f"{_plan.total(planned):.2f}", "note": "bench"}
    pboc.post("external-movements", rows=[cash])
    wait_for("quotas to arrive", lambda: _arrived(indicators), len(indicators))
    wait_for("notices to be delivered", _undelivered, 0)
    return indicators


def _import_indicators(needed: dict[str, Decimal]) -> dict[str, UUID]:
    day = peek_day(world.REGION)
    assert day is not None, "the demo world opens a day"
    context = Context(world.REGION, day.fiscal_year, day.date, "bench", timezone.now())
    made = {}
    for unit in _plan.UNITS:
        row = BudgetUnit.objects.get(adm_div_code=world.REGION, code=unit.code)
        account = BankAccount.objects.get(adm_div_code=world.REGION, account_no=world.ACCOUNTS[unit.code])
        for position in range(_plan.INDICATORS_PER_UNIT):
            number = _plan.indicator_no(unit, position)
            if number not in needed:
                continue
            opening = services.OpeningIndicator(
                indicator_no=number,
                doc_no=number,
                unit=row,
                fund_nature="11",
                function_code=unit.function_code,
                gov_economic_code=unit.gov_economic_code,
                payment_mode="12",
                payer_account=account,
                total=needed[number] + SPARE,
                paid=ZERO,
                quota_left=ZERO,
            )
            made[number] = services.import_indicator(opening, context).id
    return made


def _grant_quotas(indicators: dict[str, UUID], needed: dict[str, Decimal]) -> None:
    now = timezone.now()
    ids = []
    for unit in _plan.UNITS:
        mine = [number for number in indicators if number.startswith(f"BENCH-{unit.code}-")]
        if not mine:
            continue
        clerk = world.officer(f"u{unit.code}-jb")
        inputs = [services.PlanInput(indicators[number], world.DAY.month, needed[number] + SPARE) for number in mine]
        plans = [plan.id for plan in services.save_plans(inputs=inputs, clerk=clerk, now=now)]
        services.submit_plans(plan_ids=plans, clerk=clerk, now=now).raise_if_refused()
        for reviewer in (f"u{unit.code}-fh", unit.section_reviewer, "gk-jh"):
            officer = world.officer(reviewer)
            asked = services.prepare_plan_decision(
                plan_ids=plans, reviewer=officer, action="approve", origin=ORIGIN, now=now
            )
            services.approve_plans(
                plan_ids=plans, reviewer=officer, now=now, proof=proof_of(asked, reviewer)
            ).raise_if_refused()
        ids += plans
    maker: Actor = world.officer("gk-zd")
    services.issue_quota_notices(plan_ids=ids, maker=maker, now=now).raise_if_refused()
    notices = list(QuotaNotice.objects.filter(adm_div_code=world.REGION).values_list("id", flat=True))
    for keeper in ("gk-mz", "gk-yz"):
        sealer = world.officer(keeper)
        to_seal = services.prepare_notice_sealing(notice_ids=notices, sealer=sealer, origin=ORIGIN, now=now)
        services.seal_quota_notices(
            notice_ids=notices, sealer=sealer, now=now, proof=proof_of(to_seal, keeper)
        ).raise_if_refused()


def _arrived(indicators: dict[str, UUID]) -> int:
    return Quota.objects.filter(indicator__in=indicators.values(), amount_granted__gt=0).count()


def _undelivered() -> int:
    return Delivery.objects.exclude(state="delivered").count()
