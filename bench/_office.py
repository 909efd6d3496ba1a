"""The office: officers' steps on batches of requests, in this process or in several side by side."""

import logging
import multiprocessing
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from bench import _plan
from core.actors import Actor
from demo import world
from demo.hands import proof_of
from payments import services
from seals.approvals import Proof

ORIGIN = "http://127.0.0.1"
PHASES = ("draft", "submit", "approve", "issue", "seal")
Seconds = dict[str, float]
Work = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], list[Any]]


@contextmanager
def clients(count: int) -> Iterator[Work]:
    """So many processes that each work like an office; with one, the work is done here."""
    if count == 1:
        yield lambda act, given: [act(*arguments) for arguments in given]
        return
    connection.close()
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(warm_up, range(count * 2)))
        yield lambda act, given: [done.result() for done in [pool.submit(act, *arguments) for arguments in given]]


def warm_up(_number: int) -> None:
    """Import everything and connect, before the clock starts."""
    quiet_logging()
    world.officer("gk-dz")
    time.sleep(0.2)  # so that no process takes two


def draft_batch(batch: _plan.Batch, indicators: dict[str, UUID]) -> tuple[list[UUID], Seconds]:
    """Save one batch of requests; their ids."""
    seconds: Seconds = defaultdict(float)
    inputs = [_input(payment, indicators[payment.indicator]) for payment in batch.payments]
    clerk = world.officer(f"u{batch.unit.code}-jb")
    with _timing(seconds, "draft"):
        made = services.save_drafts(inputs=inputs, clerk=clerk, now=timezone.now())
    return [request.id for request in made], seconds


def office(unit: str, request_ids: list[UUID]) -> Seconds:
    """Take one batch from submission to the seal; each step by its own officer, refused by nobody."""
    seconds: Seconds = defaultdict(float)
    people = {post: world.officer(f"u{unit}-{post}") for post in ("jb", "fh", "mz", "yz")}
    steps: list[tuple[str, Callable[..., Any], dict[str, Any], Callable[..., Proof | None] | None]] = [
        ("submit", services.submit_payment_requests, {"clerk": people["jb"]}, None),
        ("approve", services.approve_payment_requests, {"reviewer": people["fh"]}, _approval),
        ("issue", services.issue_payment_vouchers, {"maker": people["jb"]}, None),
        ("seal", services.seal_payment_vouchers, {"sealer": people["mz"]}, _sealing),
        ("seal", services.seal_payment_vouchers, {"sealer": people["yz"]}, _sealing),
    ]
    for phase, service, officer, sign in steps:
        with _timing(seconds, phase):
            signed = {"proof": sign(unit, request_ids, **officer)} if sign is not None else {}
            service(request_ids=request_ids, now=timezone.now(), **officer, **signed).raise_if_refused()
    return dict(seconds)


def _approval(unit: str, request_ids: list[UUID], *, reviewer: Actor) -> Proof | None:
    """One statement for the whole batch, signed with one PIN; its time is part of the phase."""
    prepared = services.prepare_decision(
        request_ids=request_ids, reviewer=reviewer, action="approve", origin=ORIGIN, now=timezone.now()
    )
    return proof_of(prepared, f"u{unit}-fh")


def _sealing(unit: str, request_ids: list[UUID], *, sealer: Actor) -> Proof | None:
    prepared = services.prepare_sealing(request_ids=request_ids, sealer=sealer, origin=ORIGIN, now=timezone.now())
    step = "mz" if "unit_name_seal" in sealer.roles else "yz"
    return proof_of(prepared, f"u{unit}-{step}")


def _input(payment: _plan.Payment, indicator_id: UUID) -> services.RequestInput:
    line = services.DetailInput(
        payee_name=f"临江市第{payment.number % 97 + 1}供应商",
        payee_account_no=payment.payee_account_no,
        payee_bank_name="丙银行临江支行",
        payee_bank_no="",
        amount=payment.amount,
    )
    return services.RequestInput(
        indicator_id=indicator_id,
        business_type="1",
        settlement="2",
        dept_economic_code=payment.unit.dept_economic_code,
        purpose="办公用品",
        details=(line,),
    )


@contextmanager
def _timing(seconds: Seconds, phase: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[phase] += time.perf_counter() - started


def quiet_logging() -> None:
    """Send the log to stderr: stdout is for the result."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
