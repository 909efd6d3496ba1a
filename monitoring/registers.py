"""The registers rules read and nobody else keeps: listed payees and annual limits. Two people for each entry."""

from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.errors import NotFound, RoleRequired, TreasuryError, ValidationFailed
from core.transitions import check_move, move
from monitoring.errors import EntryInvalid, SecondPersonNeeded
from monitoring.models import AnnualLimit, ListedPayee
from monitoring.registry import RULES
from monitoring.states import ENTRY_FLOW, REGISTRARS, EntryState
from parties.models import BudgetUnit

Entry = TypeVar("Entry", ListedPayee, AnnualLimit)


@transaction.atomic(durable=True)
def propose_listed_payee(
    *,
    colour: str,
    name: str,
    account_no: str,
    credit_code: str,
    reason: str,
    valid_from: date,
    valid_to: date | None,
    by: Actor,
    now: datetime,
) -> ListedPayee:
    """Propose a payee for the black or white list; it counts from the second person's word on.

    :raises ValidationFailed: a black entry needs a name or an account, a white one both; either a reason.
    """
    person_id = _require_registrar(by)
    name, account_no, credit_code = name.strip(), account_no.strip(), credit_code.strip()
    found: list[TreasuryError] = []
    if colour not in ListedPayee.Colour.values:
        found.append(EntryInvalid("请选择黑名单或白名单。", field="colour"))
    if colour == "white" and not (name and account_no):
        found.append(EntryInvalid("白名单须同时填写户名和账号。", field="account_no"))
    if not (name or account_no):
        found.append(EntryInvalid("请填写户名或账号。", field="name"))
    if credit_code and not (len(credit_code) == 18 and credit_code.isascii() and credit_code.isalnum()):
        found.append(EntryInvalid("统一社会信用代码为 18 位。", field="credit_code"))
    if account_no and not (len(account_no) <= 32 and account_no.isascii() and account_no.replace("-", "").isalnum()):
        found.append(EntryInvalid("账号应为 1–32 位数字、字母或短横。", field="account_no"))
    if len(name) > 60 or not name.isprintable():
        found.append(EntryInvalid("户名不超过 60 字。", field="name"))
    if valid_to is not None and valid_to < valid_from:
        found.append(EntryInvalid("止期不能早于起期。", field="valid_to"))
    found += _reason(reason)
    if found:
        raise ValidationFailed(found)
    return ListedPayee.objects.create(
        adm_div_code=by.adm_div_code,
        fiscal_year=valid_from.year,
        colour=colour,
        name=name,
        account_no=account_no,
        credit_code=credit_code,
        reason=reason.strip(),
        valid_from=valid_from,
        valid_to=valid_to,
        made_by_id=person_id,
        maker_name=by.name,
        made_at=now,
    )


@transaction.atomic(durable=True)
def propose_annual_limit(
    *, fiscal_year: int, unit_code: str, code: str, amount: Decimal, reason: str, by: Actor, now: datetime
) -> AnnualLimit:
    """Propose what a unit may spend on one code in a year; in force it takes the place of the one before.

    :raises ValidationFailed: for an unknown unit, a code M16 does not watch, or no reason.
    """
    person_id = _require_registrar(by)
    found: list[TreasuryError] = []
    if not BudgetUnit.objects.filter(adm_div_code=by.adm_div_code, code=unit_code).exists():
        found.append(EntryInvalid("没有这个预算单位。", field="unit_code"))
    watched = RULES["M16"].defaults["codes"].split(",")
    if code not in watched:
        found.append(EntryInvalid(f"政府经济分类应为 {'、'.join(watched)} 之一。", field="code"))
    if amount < 0:
        found.append(EntryInvalid("限额不能为负。", field="amount"))
    found += _reason(reason)
    if found:
        raise ValidationFailed(found)
    return AnnualLimit.objects.create(
        adm_div_code=by.adm_div_code,
        fiscal_year=fiscal_year,
        unit_code=unit_code,
        gov_economic_code=code,
        amount=amount,
        reason=reason.strip(),
        made_by_id=person_id,
        maker_name=by.name,
        made_at=now,
    )


@transaction.atomic(durable=True)
def decide_listed_payee(*, entry_id: UUID, action: str, by: Actor, now: datetime) -> ListedPayee:
    """Approve, refuse or end an entry of the list of payees.

    :raises SecondPersonNeeded: if the person who approves or refuses is the one who proposed it.
    """
    entry = _lock(ListedPayee, entry_id, by)
    return _decide(entry, action, by, now)


@transaction.atomic(durable=True)
def decide_annual_limit(*, entry_id: UUID, action: str, by: Actor, now: datetime) -> AnnualLimit:
    """Approve, refuse or end a limit; approving one ends the one it takes the place of.

    :raises SecondPersonNeeded: as for `decide_listed_payee`.
    """
    entry = _lock(AnnualLimit, entry_id, by)
    check_move(ENTRY_FLOW, entry, action, by)
    if action == "approve":
        _check_second(entry, by)
        same = AnnualLimit.objects.select_for_update(no_key=True).filter(
            adm_div_code=entry.adm_div_code,
            fiscal_year=entry.fiscal_year,
            unit_code=entry.unit_code,
            gov_economic_code=entry.gov_economic_code,
            state=EntryState.ACTIVE,
        )
        move(ENTRY_FLOW, list(same), "end", by=by, at=now, reason="由新限额替代")
    return _decide(entry, action, by, now)


def _lock(model: type[Entry], entry_id: UUID, by: Actor) -> Entry:
    _require_registrar(by)
    rows = model.objects.select_for_update(no_key=True)  # type: ignore[attr-defined]
    entry: Entry | None = rows.filter(pk=entry_id, adm_div_code=by.adm_div_code).first()
    if entry is None:
        raise NotFound("该条目不存在。", field="id")
    return entry


def _decide(entry: Entry, action: str, by: Actor, now: datetime) -> Entry:
    check_move(ENTRY_FLOW, entry, action, by)
    if action != "end":
        _check_second(entry, by)
        type(entry).objects.filter(pk=entry.pk).update(decided_by=by.person_id, decider_name=by.name)  # type: ignore[attr-defined]
        entry.decided_by_id, entry.decider_name = by.person_id, by.name
    move(ENTRY_FLOW, [entry], action, by=by, at=now)
    return entry


def _check_second(entry: ListedPayee | AnnualLimit, by: Actor) -> None:
    if by.person_id == entry.made_by_id:
        raise SecondPersonNeeded("提出的人不能自己复核，须由另一人复核（四眼）。", field="by")


def _reason(reason: str) -> list[TreasuryError]:
    if 0 < len(reason.strip()) <= 200 and reason.isprintable():
        return []
    return [EntryInvalid("请填写原因或依据（不超过 200 字）。", field="reason")]


def _require_registrar(by: Actor) -> UUID:
    if by.roles.isdisjoint(REGISTRARS.split("|")) or by.person_id is None:
        raise RoleRequired(f"该操作需要岗位：{REGISTRARS}。", field="role", by=by.name)
    return by.person_id
