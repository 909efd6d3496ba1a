"""The negative tests of docs/worked-day.md on the data the day left behind, through the same doors as users.

Run as `python -m tests.journeys.after_the_day` beside a system in which the worked day has just finished: opens the
next day, then tries what must not work. Exit code 0 only if everything was refused as it should be.
"""

import base64
import json
import os
import secrets
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import django

django.setup()

import httpx2 as httpx  # noqa: E402
from django.db import DatabaseError, connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from contracts.models import Contract  # noqa: E402
from core.models import Transition  # noqa: E402
from demo import books, world  # noqa: E402
from demo.clients import Desk, Officer, RefusedByServer  # noqa: E402
from payments.models import PaymentReceipt, PaymentRequest, Refund  # noqa: E402
from seals.httpsig import sign_request  # noqa: E402
from simulators.stamps import Stamps  # noqa: E402
from simulators.wire import Identity  # noqa: E402
from tests.bank import Partner, clearing  # noqa: E402
from vouchers.codec import encode_envelope  # noqa: E402
from vouchers.messages import EnvelopeBody, SignatureMark  # noqa: E402
from vouchers.models import Voucher  # noqa: E402
from vouchers.transport import body_of  # noqa: E402

NEXT_DAY = "2026-06-16"


class Caller(Partner):
    """A partner that speaks to a server over HTTP, signed and stamped like the real one."""

    def __init__(self, pki: Path, organisation: str, password: str = "") -> None:
        super().__init__(pki, organisation, password)
        self._stamps = Stamps(pki, organisation, "rh_ywzqz" if organisation == world.PBOC else "yh_ywzqz")

    def post(self, url: str, *bodies: EnvelopeBody) -> tuple[int, dict]:
        raw = encode_envelope([self._stamped(body) for body in bodies])
        headers = sign_request(
            "POST",
            urlsplit(url).path,
            "",
            raw,
            "application/xml; charset=GBK",
            key_id=f"{self.organisation}:{self.certificate.serial_hex}",
            suite=self.suite,
            sign=partial(self.suite.sign, self.key),
            created=timezone.now(),
            nonce=secrets.token_urlsafe(18),
            idempotency_key=secrets.token_hex(8),
        )
        answer = httpx.post(url, content=raw, headers=headers, timeout=30, trust_env=False)
        return answer.status_code, answer.json()

    def _stamped(self, body: EnvelopeBody) -> EnvelopeBody:
        identity = Identity(body.adm_div_code, str(body.fiscal_year), body.voucher_type, body.voucher_no)
        marks = self._stamps.affix(identity, body.text.decode("ascii"))
        return replace(body, stamps=tuple(SignatureMark(mark.position, mark.serial, mark.value) for mark in marks))


class Tries:
    """What was tried, and whether it went as it must."""

    def __init__(self) -> None:
        self.api = os.environ["GUOKU_API_URL"].rstrip("/") + "/api/v1/vouchers/"
        token = os.environ["GUOKU_DESK_TOKEN"]
        self.bank_a = Desk(os.environ["GUOKU_SIM_BANK_A_URL"], token)
        self.bank_b = Desk(os.environ["GUOKU_SIM_BANK_B_URL"], token)
        self.failures: list[str] = []

    def expect(self, name: str, seen: object, wanted: object) -> None:
        good = seen == wanted
        print(f"{'✓' if good else '✗'} {name}: {seen}" + ("" if good else f"（应为 {wanted}）"), flush=True)
        if not good:
            self.failures.append(name)

    def as_(self, username: str) -> Officer:
        return Officer(os.environ["GUOKU_API_URL"], username, world.PASSWORD)

    def request(self, indicator: str, amount: str, economic: str, **fields: str) -> set[str]:
        """Post the form of a new request; returns the codes it was refused with, or its state."""
        form = {
            "indicator": str(books.indicator(indicator).pk),
            "business_type": "1",
            "settlement": "2",
            "dept_economic_code": economic,
            "purpose": "越界试验",
            "lines-0-payee_name": "临江市恒信物资公司",
            "lines-0-payee_account_no": "6230000000000909",
            "lines-0-payee_bank_name": "丙银行临江支行",
            "lines-0-amount": amount,
            "then": "submit",
        } | fields
        clerk = {row.no: row.unit for row in world.INDICATORS}[indicator]
        try:
            [row] = self.as_(f"u{clerk}-jb").post("/payments/new/", form)
        except RefusedByServer as refusal:
            return set(refusal.codes)
        return {row["state"]}


def pki(name: str) -> Path:
    return Path(os.environ[name])


def main() -> int:
    tries = Tries()
    tries.as_("gk-dz").post("/days/", {"date": NEXT_DAY, "cut_off": "16:00"})
    limits(tries)
    contract_limits(tries)
    own_work(tries)
    replays(tries)
    second_clearing(tries)
    second_refund(tries)
    altered_after_sealing(tries)
    return 1 if tries.failures else 0


def limits(tries: Tries) -> None:
    """(2) and (3): the last fen and one more, on quota, plan and indicator."""
    tries.expect("(2) I5 40,000.01 超额度", tries.request("I5", "40000.01", "30299"), {"quota_exceeded"})
    tries.expect("(2) I5 40,000.00 可提交", tries.request("I5", "40000.00", "30299"), {"in_review"})
    tries.expect("(3) I6 100,000.01 超六月计划", tries.request("I6", "100000.01", "31002"), {"quota_exceeded"})
    form = {"indicator": str(books.indicator("I6").pk), "month": "6", "amount": "1200000.00", "then": "submit"}
    [plan] = tries.as_("u205001-jb").post("/plans/new/", form)
    for reviewer in ("u205001-fh", "xzzf-sh", "gk-jh"):
        tries.as_(reviewer).sign_and_post("/plans/review/approve/", {"ids": plan["id"]})
    tries.expect("(3) 调增后计划额度", str(books.quota("I6")), "1300000.00")
    refused = tries.request("I6", "1300000.01", "31002")
    tries.expect("(3) I6 1,300,000.01 超指标（冻结计入）", "indicator_exceeded" in refused, True)


def contract_limits(tries: Tries) -> None:
    """(4): what C-2026-017 leaves after P2, and one fen more; the rest only after the final acceptance."""
    form = {"indicator": str(books.indicator("I4").pk), "month": "6", "amount": "500000.01", "then": "submit"}
    [plan] = tries.as_("u101002-jb").post("/plans/new/", form)
    for reviewer in ("u101002-fh", "jkw-sh", "gk-jh"):
        tries.as_(reviewer).sign_and_post("/plans/review/approve/", {"ids": plan["id"]})
    contract = world.CONTRACTS["101002"]
    fields = {
        "business_type": "7",
        "contract_no": contract.contract_no,
        "lines-0-payee_name": contract.supplier_name,
        "lines-0-payee_account_no": contract.accounts[0].account_no,
    }
    over = tries.request("I4", "560000.01", "31003", **fields)
    tries.expect("(4) 合同 560,000.01 超合同", "contract_exceeded" in over, True)
    early = tries.request("I4", "560000.00", "31003", **fields)
    tries.expect("(4) 合同 560,000.00 未验收", early, {"acceptance_missing"})
    found = books.read(lambda: Contract.objects.get(contract_no=contract.contract_no))
    accepted = {
        "certificate_no": "YS-2026-017",
        "amount": "800000.00",
        "accepted_on": NEXT_DAY,
        "accepted_by": "陈志远",
        "final": "1",
    }
    tries.as_("u101002-fh").post(f"/contracts/{found.pk}/accept/", accepted)
    over = tries.request("I4", "560000.01", "31003", **fields)
    tries.expect("(4) 验收后 560,000.01 超合同", "contract_exceeded" in over, True)
    exact = tries.request("I4", "560000.00", "31003", **fields)
    tries.expect("(4) 验收后 560,000.00 可提交（大额挂起）", exact, {"on_hold"})


def own_work(tries: Tries) -> None:
    """(9): a clerk approves his own request."""
    tries.request("I1", "1.00", "30201")
    mine = books.read(lambda: PaymentRequest.objects.filter(unit__code="101001").order_by("-pk").first())
    try:
        tries.as_("u101001-jb").post("/review/approve/", {"ids": str(mine.pk)})
        codes = {"approved"}
    except RefusedByServer as refusal:
        codes = set(refusal.codes)
    tries.expect("(9) 经办人审核自己的申请", codes <= {"role_required", "acted_before"}, True)
    tries.expect("(9) 申请状态不变", books.request(str(mine.pk)).state, "in_review")


def replays(tries: Tries) -> None:
    """(5): receipts and clearings come again, as the same bytes."""
    before = everything()
    for kind, number in (("receipt", "ZF0001"), ("receipt", "SZ0001")):
        tries.bank_a.post("resend", kind=kind, voucher_no=number)
    tries.bank_a.post("resend", kind="2301", voucher_no="HK-A-01")
    tries.bank_a.post("flush")
    tries.expect("(5) 重放回单与 2301 后账务不变", everything() == before, True)


def everything() -> tuple:
    rows = [books.indicator(row.no) for row in world.INDICATORS]
    amounts = [(r.amount_reserved, r.amount_paid, r.amount_refunded, r.quota.amount_available) for r in rows]
    counts = books.read(
        lambda: [model.objects.count() for model in (PaymentReceipt, Refund, Transition)]  # facts and events
    )
    return amounts, counts


def second_clearing(tries: Tries) -> None:
    """(6): another 2301 with P13 in it, signed by the bank and executed by PBoC."""
    bank = Caller(pki("GUOKU_SIM_BANK_B_PKI"), world.BANK_B)
    pboc = Caller(pki("GUOKU_SIM_PBOC_PKI"), world.PBOC)
    paid = books.read(
        lambda: PaymentRequest.objects.select_related("unit", "indicator", "payer_account__agent_bank").get(
            voucher_no="SZ0006"
        )
    )
    asked, executed = clearing(bank, pboc, "HK-B-99", [(paid, 1)], XClearDate="20260616")
    bank.post(tries.api, asked)
    status, answer = pboc.post(tries.api, executed)
    tries.expect("(6) 含 P13 的第二张 2301", (status, answer.get("code")), (409, "already_cleared"))


def second_refund(tries: Tries) -> None:
    """(7): R0's original is refunded again."""
    bank = Caller(pki("GUOKU_SIM_BANK_B_PKI"), world.BANK_B)
    original = books.read(
        lambda: PaymentRequest.objects.select_related("unit", "payer_account").get(voucher_no=world.HISTORIC_VOUCHER)
    )
    status, answer = bank.post(tries.api, bank.refund("TK0099", original, 1, "3000.00", PayDate="20260616"))
    tries.expect("(7) R0 原支付再次退款", (status, answer.get("code")), (409, "refund_exceeds_payment"))


def altered_after_sealing(tries: Tries) -> None:
    """(8): the amount of a sealed voucher is changed on its way, and in our own library."""
    finance = Caller(Path(os.environ["GUOKU_KEY_DIR"]), world.FINANCE, os.environ["GUOKU_KEY_PASSWORD"])
    sealed = books.read(lambda: Voucher.objects.get(voucher_type="8202", voucher_no="SZ0001"))
    inner = base64.b64decode(bytes(sealed.text)).replace(b"<VoucherNo>SZ0001<", b"<VoucherNo>SZ9001<")
    inner = inner.replace(b"12345.67", b"92345.67").replace(b">SZ0001<", b">SZ9001<")
    body = body_of(sealed)
    forged = EnvelopeBody(
        body.adm_div_code, body.fiscal_year, body.voucher_type, "SZ9001", 0, "", "", base64.b64encode(inner),
        body.signatures,
    )  # fmt: skip
    url = os.environ["GUOKU_SIM_BANK_A_URL"].rstrip("/") + "/vouchers"
    _, answer = finance.post(url, forged)
    tries.expect("(8) 签章后改动金额，银行拒收", answer["results"][0]["outcome"], "refused")
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE vouchers_voucher SET amount = 92345.67 WHERE voucher_no = 'SZ0001'")
        changed = "改动成功"
    except DatabaseError:
        changed = "拒绝"
    tries.expect("(8) 凭证库内改动金额", changed, "拒绝")


if __name__ == "__main__":
    result = main()
    print(json.dumps({"refused_as_they_must": result == 0}))
    sys.exit(result)
