"""Short ways through the services for tests: officers by log-in, a request from draft to the bank."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import UUID

import psycopg2.extensions
from django.apps import apps
from django.db import connection, connections, transaction
from django.db.models import F

from budget import services as budget
from budget.entries import Context
from budget.methods import Side, method_of
from budget.models import ClearingLimit, IndicatorDocument, Quota
from contracts.models import Contract
from contracts.services import AccountInput, ContractInput, TermInput, import_contract
from core.actors import Actor, system_actor
from demo import world
from parties.models import Person, User
from parties.services import grant_post
from payments import services
from payments.models import PaymentRequest
from tests.conftest import NOW

CLERK_OF = {"I1": "u101001", "I2": "u101002", "I3": "u101002", "I4": "u101002", "I5": "u205001", "I6": "u205001"}
CLERK_OF |= {"I7": "u101002", "I8": "u101002", "I9": "u900001"}
ECONOMIC = {"I1": "30201", "I2": "30101", "I3": "30201", "I4": "31003", "I5": "30299", "I6": "31002"}
ECONOMIC |= {"I7": "30218", "I8": "30201", "I9": "31302"}
SECTION_OF = {"u101001": "jkw-sh", "u101002": "jkw-sh", "u205001": "xzzf-sh", "u900001": "sbk-sh"}
FRAME = "C-FRAME"  # the contract on which tests pay from a procurement indicator, where they name no other


def line(amount: str, **changes: Any) -> services.DetailInput:
    values = {
        "payee_name": "临江市晨光办公用品公司",
        "payee_account_no": "6230000000000001",
        "payee_bank_name": "丙银行临江支行",
        "payee_bank_no": "",
        "amount": Decimal(amount),
    } | changes
    return services.DetailInput(**values)


def frame_contract(indicator: str, *, no: str = FRAME, **changes: Any) -> None:
    """File a contract on an indicator that lets anything be paid to the payee of `line`; nothing if it is there."""
    target = world.indicator(indicator)
    no = f"{no}-{indicator}" if no == FRAME else no
    if Contract.objects.filter(unit=target.unit, contract_no=no).exists():
        return
    most = Decimal("99999999.99")
    values = {
        "contract_no": no,
        "title": "框架协议",
        "supplier_name": "临江市晨光办公用品公司",
        "supplier_credit_code": "91990100MA0CGBG001",
        "accounts": (AccountInput("6230000000000001", "丙银行临江支行"),),
        "total": most,
        "signed_on": date(2026, 1, 5),
        "terms": (
            TermInput("供货", "signed", amount=most - Decimal("0.01")),
            TermInput("验收", "accepted", amount=Decimal("0.01")),
        ),
        "allocations": ((indicator, most),),
        "prepayment_cap": Decimal("1"),
    } | changes
    context = Context(world.REGION, world.YEAR, world.DAY, "test", NOW)
    import_contract(ContractInput(**values), unit=target.unit, context=context)


def own_account_contract() -> None:
    """File a contract C-OWN on I4 whose supplier is the unit itself: what M20 and M07 are to stop."""
    account = AccountInput(world.BASIC_ACCOUNT_101002, "乙银行临江支行")
    with transaction.atomic():
        frame_contract("I4", no="C-OWN", supplier_name="市第一中学基本户", accounts=(account,))


def wanted(indicator: str, *amounts: str, **changes: Any) -> services.RequestInput:
    """A request as a clerk fills it in; from a procurement indicator on a contract that lets anything be paid."""
    if "contract_no" not in changes and indicator in ("I4", "I6"):
        with transaction.atomic():
            frame_contract(indicator)
        changes["contract_no"] = f"{FRAME}-{indicator}"
    values = {
        "indicator_id": world.indicator(indicator).id,
        "business_type": "1",
        "settlement": "2",
        "dept_economic_code": ECONOMIC[indicator],
        "purpose": "办公用品",
        "details": tuple(line(amount) for amount in amounts),
    } | changes
    return services.RequestInput(**values)


def draft(indicator: str, *amounts: str, **changes: Any) -> PaymentRequest:
    clerk = world.officer(f"{CLERK_OF[indicator]}-jb")
    return services.save_drafts(inputs=[wanted(indicator, *amounts, **changes)], clerk=clerk, now=NOW)[0]


def submit(*requests: PaymentRequest) -> Any:
    clerk = _unit_officer(requests[0], "jb")
    return services.submit_payment_requests(request_ids=ids(requests), clerk=clerk, now=NOW)


def approve(who: str, *requests: PaymentRequest) -> Any:
    return services.approve_payment_requests(request_ids=ids(requests), reviewer=world.officer(who), now=NOW)


def approve_all(*requests: PaymentRequest) -> None:
    """Let every needed reviewer approve."""
    prefix = _prefix(requests[0])
    who = {
        "unit_reviewer": f"{prefix}-fh",
        "unit_leader": f"{prefix}-fz",
        "section_reviewer": SECTION_OF[prefix],
        "payment_reviewer": "gk-sh",
        "treasury_chief": "gk-kz",
    }
    for post, _amount_from in world.CHAINS[method_of(requests[0].payment_mode).chain]:
        waiting = [r for r in fresh(*requests) if r.state == "in_review"]
        if waiting:
            approve(who[post], *waiting).raise_if_refused()


def issue(*requests: PaymentRequest) -> Any:
    maker = world.officer("gk-zd") if _is_bureaus(requests[0]) else _unit_officer(requests[0], "jb")
    return services.issue_payment_vouchers(request_ids=ids(requests), maker=maker, now=NOW)


def seal(*requests: PaymentRequest) -> Any:
    sealer = world.officer("gk-yz") if _is_bureaus(requests[0]) else _unit_officer(requests[0], "yz")
    return services.seal_payment_vouchers(request_ids=ids(requests), sealer=sealer, now=NOW)


def sent(indicator: str, *amounts: str, **changes: Any) -> PaymentRequest:
    """A request that has been sealed and put into the outbox."""
    request = draft(indicator, *amounts, **changes)
    submit(request).raise_if_refused()
    approve_all(request)
    issue(request).raise_if_refused()
    seal(request).raise_if_refused()
    return fresh(request)[0]


def fresh(*requests: PaymentRequest) -> list[PaymentRequest]:
    rows = PaymentRequest.objects.select_related("voucher", "unit", "indicator", "payer_account__agent_bank")
    by_id = rows.in_bulk(ids(requests))
    return [by_id[request.id] for request in requests]


def ids(requests: Any) -> list[UUID]:
    return [request.id for request in requests]


def _is_bureaus(request: PaymentRequest) -> bool:
    return method_of(request.payment_mode).office.side is Side.FINANCE


def _prefix(request: PaymentRequest) -> str:
    return f"u{request.unit.code}"


def _unit_officer(request: PaymentRequest, suffix: str) -> Any:
    return world.officer(f"{_prefix(request)}-{suffix}")


# People -------------------------------------------------------------------------------------------------------------


def second_login(username: str, post: str, *, unit: str = "", section: str = "") -> Actor:
    """Another log-in of the same natural person, with a post of its own."""
    person = User.objects.get(username=username).person
    user = User.objects.create(username=f"{username}-{post}", person=person, adm_div_code=world.REGION)
    return _granted(user, post, unit, section)


def newcomer(username: str, post: str, *, unit: str = "", section: str = "") -> Actor:
    """Somebody the demo does not have."""
    person = Person.objects.create(name=username, staff_no=username)
    user = User.objects.create(username=username, person=person, adm_div_code=world.REGION)
    return _granted(user, post, unit, section)


def _granted(user: User, post: str, unit: str, section: str) -> Actor:
    granter = system_actor("test")
    start = date(world.YEAR, 1, 1)
    grant_post(user=user, post=post, unit_code=unit, section=section, valid_from=start, granted_by=granter)
    return world.officer(user.username)


# What the books say -------------------------------------------------------------------------------------------------


def books(no: str) -> dict[str, str]:
    """The figures of an indicator and its quota, as text to the fen."""
    row = world.indicator(no)
    return {
        "reserved": f"{row.amount_reserved:.2f}",
        "paid": f"{row.amount_paid:.2f}",
        "refunded": f"{row.amount_refunded:.2f}",
        "available": f"{row.amount_available:.2f}",
        "quota": f"{row.quota.amount_available:.2f}",
        "quota_reserved": f"{row.quota.amount_reserved:.2f}",
    }


def limit(organisation: str, mode: str) -> str:
    """What PBoC may still clear for a bank and payment mode."""
    row = ClearingLimit.objects.get(agent_bank__organisation=organisation, payment_mode=mode)
    return f"{row.amount_available:.2f}"


def everything() -> dict[str, list[str]]:
    """Every business row there is, to show that a refusal changed nothing; what partners sent is not among it."""
    labels = ("core", "parties", "budget", "contracts", "payments", "monitoring", "vouchers", "seals")
    seen = {}
    with connection.cursor() as cursor:
        for model in [m for label in labels for m in apps.get_app_config(label).get_models()]:
            if model._meta.label in ("vouchers.InboxMessage", "vouchers.InboxRejection"):
                continue
            cursor.execute(f"SELECT t::text FROM {model._meta.db_table} t ORDER BY 1")
            seen[model._meta.label] = [row[0] for row in cursor.fetchall()]
    return seen


# Together -----------------------------------------------------------------------------------------------------------


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls at the same moment, each in a thread with a connection of its own; answers or exceptions."""
    gate = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            gate.wait(timeout=20)
            return call()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect every statement sent to the server, counted at the driver: COPY and VALUES batches included."""
    seen: list[str] = []

    class Counting(psycopg2.extensions.cursor):
        def execute(self, query: Any, arguments: Any = None) -> None:
            seen.append(str(query)[:200])
            super().execute(query, arguments)

        def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
            seen.append(str(sql)[:200])
            super().copy_expert(sql, file, size)

    connection.ensure_connection()
    driver = connection.connection
    before, driver.cursor_factory = driver.cursor_factory, Counting
    try:
        yield seen
    finally:
        driver.cursor_factory = before


def with_quota(indicator: str, amount: str) -> None:
    """Grant more quota straight in the books, for tests that need room and nothing else."""
    row = Quota.objects.filter(indicator__indicator_no=indicator)
    row.update(amount_granted=F("amount_granted") + Decimal(amount))


def with_limit(organisation: str, mode: str, amount: str) -> None:
    """Let PBoC clear more (or less) for a bank straight in the books."""
    row = ClearingLimit.objects.filter(agent_bank__organisation=organisation, payment_mode=mode)
    row.update(amount_issued=F("amount_issued") + Decimal(amount))


# Indicator documents -------------------------------------------------------------------------------------------------


def changed(no: str, amount: str) -> budget.LineInput:
    """A line that changes an indicator that is there."""
    return budget.LineInput(amount=Decimal(amount), indicator_id=world.indicator(no).id)


def document(kind: str, *lines: budget.LineInput, doc_no: str = "DJ-001", clerk: str = "ys-jb") -> IndicatorDocument:
    """A document written and submitted."""
    officer = world.officer(clerk)
    given = budget.DocumentInput(kind=kind, doc_no=doc_no, lines=lines)
    made = budget.save_document(given=given, clerk=officer, now=NOW)
    budget.submit_documents(document_ids=[made.id], clerk=officer, now=NOW).raise_if_refused()
    return IndicatorDocument.objects.get(pk=made.pk)


def decide(*documents: IndicatorDocument, who: str = "ys-fz", decision: str = "approve", reason: str = "") -> Any:
    return budget.decide_documents(
        document_ids=ids(documents), officer=world.officer(who), decision=decision, reason=reason, now=NOW
    )


def issue_documents(*documents: IndicatorDocument) -> Any:
    return budget.issue_documents(document_ids=ids(documents), clerk=world.officer("ys-jb"), now=NOW)


def issued(kind: str, *lines: budget.LineInput, doc_no: str = "DJ-001") -> IndicatorDocument:
    """A document that has gone the whole way, by a leader where one is needed."""
    made = document(kind, *lines, doc_no=doc_no)
    decide(made).raise_if_refused()
    if IndicatorDocument.objects.get(pk=made.pk).state == "leader":
        decide(made, who="ld-fg").raise_if_refused()
    issue_documents(made).raise_if_refused()
    return IndicatorDocument.objects.get(pk=made.pk)
