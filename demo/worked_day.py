"""The worked day of 临江市, 2026-06-15, driven from outside: officers post forms, partners act at their desks.

`--check` compares every figure and exits 0 only if all are equal; `--serve` does the same and then explains what to
try. The day and its figures: docs/worked-day.md.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import django

django.setup()

from budget.methods import Side, method_of  # noqa: E402
from demo import books, guide, world  # noqa: E402
from demo.clients import Desk, Officer, RefusedByServer  # noqa: E402
from demo.comparison import Comparison  # noqa: E402

EXPECTED = json.loads((Path(__file__).parent / "worked_day.json").read_text(encoding="utf-8"))
D = Decimal
SALARY = [
    ("张一", "6230000000010001", "7184.44"),
    ("李二", "6230000000010002", "6323.08"),
    ("王三", "6230000000010003", "5964.18"),
    ("市社会保险事业中心", "6230000000020001", "3180.00"),
    ("市医疗保障事业中心", "6230000000020002", "530.00"),
    ("市住房公积金管理中心", "6230000000020003", "3180.00"),
    ("国家税务总局临江市税务局", "6230000000020004", "138.30"),
]
SECTION = {"u101001": "jkw-sh", "u101002": "jkw-sh", "u205001": "xzzf-sh", "u900001": "sbk-sh"}


class Day:
    """One run of the day: who is logged in, what has been compared so far, which payment is which request."""

    def __init__(self, after_step: Callable[[str], None] | None = None) -> None:
        self.base_url = os.environ["GUOKU_API_URL"]
        token = os.environ["GUOKU_DESK_TOKEN"]
        self.bank_a = Desk(os.environ["GUOKU_SIM_BANK_A_URL"], token)
        self.bank_b = Desk(os.environ["GUOKU_SIM_BANK_B_URL"], token)
        self.pboc = Desk(os.environ["GUOKU_SIM_PBOC_URL"], token)
        self.compared = Comparison()
        self.integrated = os.environ.get("GUOKU_DEMO_MODE") == "integrated"
        self.requests: dict[str, str] = {}
        self._officers: dict[str, Officer] = {}
        self._after_step = after_step or (lambda step: None)
        self._started = time.monotonic()

    def run(self) -> None:
        """Do everything in order; each step leaves the books as §intermediate states of docs/worked-day.md says."""
        for clock, text, act in self._steps():
            print(f"[{time.monotonic() - self._started:5.1f} s] {clock} {text}", flush=True)
            act()
            self._after_step(text)

    def _steps(self) -> list[tuple[str, str, Callable[[], None]]]:
        """The integrated mode knows neither plan nor quota: the indicator is all there is."""
        of_quota = (self.plan, self.notify_quota)
        return [step for step in self._all_steps() if not (self.integrated and step[2] in of_quota)]

    def _all_steps(self) -> list[tuple[str, str, Callable[[], None]]]:
        return [
            ("08:40", "指标追加 I5 50,000.00", self.add_to_indicator),
            ("08:45", "冻结 I6 200,000.00", self.freeze_indicator),
            ("08:50", "205001 报送 6 月用款计划 120,000.00，三级审核", self.plan),
            ("09:00", "额度通知 5105、5106 制单签章；乙银行 2104 到账", self.notify_quota),
            ("09:10", "乙银行 2204：6 月 12 日支付退回 3,000.00", self.refund),
            ("09:30", "P1 统一工资 26,500.00，王三户名账号不符", self.salary),
            ("10:40", "P1R 更正账号重发 5,964.18", self.reissue),
            ("10:50", "P2 政府采购首付款 240,000.00", self.procurement),
            ("11:00", "P3 办公用品、P4 公务卡、P5 现金支票", self.small_payments),
            ("11:20", "P6 向本单位基本户转款：拦截", self.blocked),
            ("11:40", "P7 接近采购限额 98,000.00：挂起、处置、支付", self.near_limit),
            ("11:45", "P8 收款账户已销户：失败，额度恢复", self.failed),
            ("14:00", "P9 大额 500,000.00：挂起、处置、支付", self.large),
            ("14:20", "P10 资金实拨 500,000.00：人民银行直接支付", self.appropriation),
            ("14:30", "P11 专户资金支付 45,600.00", self.special_account),
            ("14:40", "P12 单位资金支付 8,888.88", self.unit_funds),
            ("14:50", "P13 办案协作费 15,000.00：银行已付，回单丢失", self.lost_receipt),
            ("15:30", "国库收支中不属本系统范围的项目（模拟器输入）", self.external_movements),
            ("16:00", "两家银行向人民银行清算 2301、2302", self.clear),
            ("17:00", "对账：乙银行多 15,000.00，补取回单，重对", self.reconcile),
            ("18:00", "日结", self.close),
        ]

    # The morning: indicators, plan, quota ----------------------------------------------------------------------------

    def add_to_indicator(self) -> None:
        self._adjust("I5", "add", "临财预〔2026〕88号", "50000.00")
        self._state("I5 总额", "850000.00", books.indicator("I5").amount_total)

    def freeze_indicator(self) -> None:
        self._adjust("I6", "freeze", "DJ-001", "200000.00")
        self._state("I6 冻结", "200000.00", books.indicator("I6").amount_frozen)

    def plan(self) -> None:
        [plan] = self.as_("u205001-jb").post(
            "/plans/new/", self._on("I5", month="6", amount="120000.00", then="submit")
        )
        for reviewer in ("u205001-fh", "xzzf-sh", "gk-jh"):
            self.as_(reviewer).sign_and_post("/plans/review/approve/", {"ids": plan["id"]})
        self._plan_id = plan["id"]

    def notify_quota(self) -> None:
        self._state("I5 授权额度 期初", "30000.00", books.quota("I5"))
        self.as_("gk-zd").post("/plans/notices/issue/", {"ids": self._plan_id})
        for keeper in ("gk-mz", "gk-yz"):
            self.as_(keeper).sign_and_post("/plans/notices/seal/", {"ids": books.notice_of(self._plan_id)})
        self._delivered()
        self.bank_b.post("arrive")
        books.wait_until("2104 到账", lambda: books.quota("I5") == D("150000.00"))
        self._state("I5 授权额度 到账后", "150000.00", books.quota("I5"))

    def refund(self) -> None:
        self.bank_b.post(
            "refund",
            voucher_type="8202",
            voucher_no=world.HISTORIC_VOUCHER,
            detail_id="1",
            amount="3000.00",
            reason="收款单位账户信息变更退回",
        )
        books.wait_until("2204 退款", lambda: books.refunded() == D("3000.00"))
        self._quota("I5 授权额度 退款后", "153000.00", "I5")

    # Payments -------------------------------------------------------------------------------------------------------

    def salary(self) -> None:
        lines = [self.line(name, account, amount) for name, account, amount in SALARY]
        self.request("P1", "I2", lines, business_type="3", dept_economic_code="30101", purpose="新增教师工资")
        self.review_and_send("P1")
        self._state("P1 在途", "26500.00", books.indicator("I2").amount_reserved)
        self.pay(self.bank_a, "P1")
        row = books.indicator("I2")
        self._state("P1 首次回单后 已付增加", "20535.82", row.amount_paid - D("2000000.00"))
        self._state("P1 首次回单后 在途", "0.00", row.amount_reserved)
        self._state("P1 失败释放", "5964.18", books.request(self.requests["P1"]).amount_failed)
        self._delivered()

    def reissue(self) -> None:
        clerk = self.as_("u101002-jb")
        address, form = clerk.form(f"/payments/{self.requests['P1']}/reissue/", named="purpose")
        form |= {"lines-0-payee_account_no": "6230000000010033", "purpose": "重发王三工资，更正账号", "then": "submit"}
        [row] = clerk.post(address, form)
        self.requests["P1R"] = row["id"]
        self.review_and_send("P1R")
        self.pay(self.bank_a, "P1R")
        self._state("P1R 后 P1 已付合计", "26500.00", books.indicator("I2").amount_paid - D("2000000.00"))

    def procurement(self) -> None:
        line = self.line("临江市科教仪器有限公司", "6230000000000301", "240000.00")
        self.request(
            "P2", "I4", [line], business_type="7", dept_economic_code="31003", purpose="实验室设备首付款30%",
            contract_no="C-2026-017",
        )  # fmt: skip
        self.review_and_send("P2")
        self.pay(self.bank_a, "P2")

    def small_payments(self) -> None:
        self.request(
            "P3", "I1", [self.line("临江市晨光办公用品公司", "6230000000000101", "12345.67")],
            dept_economic_code="30201", purpose="办公用品",
        )  # fmt: skip
        cards = [
            self.line("马小明", "6230000000090001", "1280.00", reference="GWK20260610000001"),
            self.line("马小明", "6230000000090001", "860.50", reference="GWK20260611000002"),
        ]
        self.request(
            "P4", "I1", cards, business_type="2", settlement="5", dept_economic_code="30211", purpose="公务卡还款差旅费"
        )
        self.request(
            "P5", "I3", [self.line("市第一中学", "XJZP0001", "3000.00", reference="XJZP0001")], business_type="5",
            settlement="3", dept_economic_code="30201", purpose="备用金", cash_purpose="03",
            cash_reason="考试期间零星开支",
        )  # fmt: skip
        for payment in ("P3", "P4", "P5"):
            self.review_and_send(payment)
        self.pay(self.bank_a, "P3")
        self.pay(self.bank_a, "P4")
        self.pay(self.bank_b, "P5")

    def blocked(self) -> None:
        line = self.line("市第一中学", world.BASIC_ACCOUNT_101002, "50000.00", bank="乙银行临江支行")
        before = books.quota("I3")
        self.request("P6", "I3", [line], dept_economic_code="30299", purpose="转款", expected_state="blocked")
        row = books.request(self.requests["P6"])
        self._state("P6 占用额度", "0.00", before - books.quota("I3"))
        self.compared.text("中间状态", "P6 状态 / 凭证", "blocked / 无", f"{row.state} / {row.voucher_no or '无'}")

    def near_limit(self) -> None:
        line = self.line("临江市司法鉴定所", "6230000000000401", "98000.00")
        self.request("P7", "I5", [line], dept_economic_code="30299", purpose="鉴定服务费", expected_state="on_hold")
        self._quota("I5 授权额度 P7 提交后", "55000.00", "I5")
        self.dispose("P7", "已核实：年度鉴定服务框架内，非拆分采购")
        self.review_and_send("P7")
        self.pay(self.bank_b, "P7")

    def failed(self) -> None:
        self.request(
            "P8", "I5", [self.line("临江市恒信物资公司", "6230000000000808", "20000.00")],
            dept_economic_code="30299", purpose="办案耗材",
        )  # fmt: skip
        self._quota("I5 授权额度 P8 提交后", "35000.00", "I5")
        self.review_and_send("P8")
        self.pay(self.bank_b, "P8", until="failed")
        self._quota("I5 授权额度 P8 失败后", "55000.00", "I5")

    def large(self) -> None:
        line = self.line("临江市信安科技有限公司", "6230000000000501", "500000.00")
        self.request(
            "P9", "I6", [line], business_type="7", dept_economic_code="31002", purpose="采购设备款",
            contract_no="C-2026-009", expected_state="on_hold",
        )  # fmt: skip
        self.dispose("P9", "合同约定付款，已核验收资料")
        self.review_and_send("P9")
        self.pay(self.bank_a, "P9")

    def appropriation(self) -> None:
        line = self.line(
            "临江市城乡居民基本医疗保险基金财政专户", "6230000000000901", "500000.00", payee_bank_no="104990100013"
        )
        self.request("P10", "I9", [line], dept_economic_code="31302", purpose="拨付城乡居民医保基金财政补助")
        self.review_and_send("P10")
        self.pay(self.pboc, "P10")

    def special_account(self) -> None:
        line = self.line("临江市科教仪器有限公司", "6230000000000301", "45600.00")
        self.request("P11", "I7", [line], dept_economic_code="30218", purpose="实验耗材")
        self.review_and_send("P11")
        self.pay(self.bank_a, "P11")

    def unit_funds(self) -> None:
        line = self.line("临江市晨光办公用品公司", "6230000000000101", "8888.88")
        self.request("P12", "I8", [line], dept_economic_code="30201", purpose="校园办公用品")
        self.review_and_send("P12")
        self.pay(self.bank_b, "P12")
        self._state("I8 已到账收入余额", "57777.78", books.quota("I8"))

    def lost_receipt(self) -> None:
        line = self.line("邻县公安局", "6230000000000601", "15000.00")
        self.request("P13", "I5", [line], dept_economic_code="30299", purpose="办案协作费")
        self._quota("I5 授权额度 P13 提交后", "40000.00", "I5")
        self.review_and_send("P13")
        number = books.request(self.requests["P13"]).voucher_no
        self.bank_b.post("behaviour", faults={"lose_receipt_for": [number]})
        self.bank_b.post("pay", voucher_nos=[number])
        self.bank_b.post("flush")
        row = books.indicator("I5")
        self._state("P13 回单前 I5 在途", "15000.00", row.amount_reserved)
        self._state("P13 回单前 I5 已付", "398000.00", row.amount_paid)
        self._state("P13 回单前 I5 可用", "440000.00", row.amount_available)

    # The evening ----------------------------------------------------------------------------------------------------

    def external_movements(self) -> None:
        for desk in (self.pboc, self.bank_a):
            desk.post("external-movements")

    def clear(self) -> None:
        for desk in (self.bank_a, self.bank_b):
            desk.post("clear")
            desk.post("flush")
        self.pboc.post("flush")
        books.wait_until(
            "甲银行清算回单",
            lambda: all(books.inbound("2301", no, 1) is not None for no in ("HK-A-01", "HK-A-02", "HK-B-01")),
        )
        waiting = books.inbound("2301", "HK-B-01", 1)
        self.compared.text("中间状态", "HK-B-01 等待 P13 回单", "parked", waiting.state if waiting else "无")

    def reconcile(self) -> None:
        for desk in (self.bank_a, self.bank_b, self.pboc):
            desk.post("report", date=world.DAY.isoformat())
            desk.post("flush")
        officer = self.as_("gk-dz")
        officer.post("/reconciliation/match/", {"date": world.DAY.isoformat()})
        self._sheet("财政↔乙银行 支付(首次)", "bank_payment", world.BANK_B)
        self._refused_close("day_not_closable")
        officer.post("/reconciliation/pull/", {"ids": books.open_differences()})
        books.wait_until("P13 回单", lambda: books.request(self.requests["P13"]).state in ("paid", "cleared"))
        row = books.indicator("I5")
        self._state("P13 回单后 I5 在途", "0.00", row.amount_reserved)
        self._state("P13 回单后 I5 已付", "413000.00", row.amount_paid)
        self._state("P13 回单后 I5 可用", "440000.00", row.amount_available)
        books.wait_until("P13 清算", lambda: books.request(self.requests["P13"]).state == "cleared")
        officer.post("/reconciliation/match/", {"date": world.DAY.isoformat()})
        self._sheet("财政↔甲银行 支付", "bank_payment", world.BANK_A)
        self._sheet("财政↔乙银行 支付(重对)", "bank_payment", world.BANK_B)
        self._sheet("财政↔乙银行 退款", "bank_refund", world.BANK_B)
        self._sheet("财政↔人行 清算", "pboc_clearing", world.PBOC)
        if not self.integrated:
            self._sheet("财政↔人行 清算额度", "pboc_limit", world.PBOC)
        self._sheet("财政↔人行 实拨", "pboc_payment", world.PBOC)
        self._sheet("财政↔甲银行 专户与单位资金", "bank_funds", world.BANK_A)
        self._sheet("财政↔乙银行 专户与单位资金", "bank_funds", world.BANK_B)

    def close(self) -> None:
        self._delivered()
        self.as_("gk-dz").post("/reconciliation/close/", {"date": world.DAY.isoformat()})

    # How people do it -----------------------------------------------------------------------------------------------

    def as_(self, username: str) -> Officer:
        if username not in self._officers:
            self._officers[username] = Officer(self.base_url, username, world.PASSWORD)
        return self._officers[username]

    def line(
        self, name: str, account: str, amount: str, *, bank: str = "丙银行临江支行", **more: str
    ) -> dict[str, str]:
        return {"payee_name": name, "payee_account_no": account, "payee_bank_name": bank, "amount": amount, **more}

    def request(
        self,
        payment: str,
        indicator: str,
        lines: Sequence[dict[str, str]],
        *,
        expected_state: str = "in_review",
        business_type: str = "1",
        settlement: str = "2",
        **fields: str,
    ) -> None:
        """Let the unit's clerk fill in and submit the form of a payment."""
        form = self._on(indicator, business_type=business_type, settlement=settlement, then="submit", **fields)
        for number, line in enumerate(lines):
            form |= {f"lines-{number}-{name}": value for name, value in line.items()}
        [row] = self.as_(f"{self._unit(indicator)}-jb").post("/payments/new/", form)
        assert row["state"] == expected_state, f"{payment}: {row}"
        self.requests[payment] = row["id"]

    def dispose(self, payment: str, reason: str) -> None:
        self.as_("gk-jk").post(
            "/monitoring/dispose/", {"ids": self.requests[payment], "decision": "pass", "reason": reason}
        )

    def review_and_send(self, payment: str) -> None:
        """Let every reviewer of the chain approve, the maker make out the voucher and the keeper seal it; wait for
        the bank to sign for it."""
        request_id = self.requests[payment]
        row = books.request(request_id)
        unit = f"u{books.read(lambda: row.unit.code)}"
        method = method_of(row.payment_mode)
        officer_of = {
            "unit_reviewer": f"{unit}-fh",
            "unit_leader": f"{unit}-fz",
            "section_reviewer": SECTION[unit],
            "payment_reviewer": "gk-sh",
            "treasury_chief": "gk-kz",
        }
        for post, _amount_from in world.CHAINS[method.chain]:
            if books.request(request_id).state == "in_review":
                self.as_(officer_of[post]).sign_and_post("/review/approve/", {"ids": request_id})
        finance = method.office.side is Side.FINANCE
        maker, keeper = ("gk-zd", "gk-yz") if finance else (f"{unit}-jb", f"{unit}-yz")
        self.as_(maker).post("/vouchers/make/", {"ids": request_id})
        for sealer in (keeper.replace("-yz", "-mz"), keeper):
            self.as_(sealer).sign_and_post("/vouchers/seal/", {"ids": request_id})
        books.wait_until(f"{payment} 银行签收", lambda: books.request(request_id).state == "accepted")

    def pay(self, bank: Desk, payment: str, *, until: str = "") -> None:
        """Let the bank pay the voucher and wait until its receipt has been applied."""
        request_id = self.requests[payment]
        bank.post("pay", voucher_nos=[books.request(request_id).voucher_no])
        states = {until} if until else {"paid", "partially_paid", "cleared"}
        books.wait_until(f"{payment} 回单", lambda: books.request(request_id).state in states)

    def _adjust(self, indicator: str, kind: str, doc_no: str, amount: str) -> None:
        form = self._on(indicator, kind=kind, doc_no=doc_no, amount=amount, note="", then="submit")
        [row] = self.as_("ys-jb").post("/indicators/documents/new/", form)
        self.as_("ys-fz").post("/indicators/documents/decide/", {"ids": row["id"], "decision": "approve"})
        self.as_("ys-jb").post("/indicators/documents/issue/", {"ids": row["id"]})

    def _on(self, indicator: str, **fields: str) -> dict[str, str]:
        return {"indicator": str(books.indicator(indicator).pk), **fields}

    def _unit(self, indicator: str) -> str:
        return "u" + {row.no: row.unit for row in world.INDICATORS}[indicator]

    def _delivered(self) -> None:
        books.wait_until("发件箱清空", books.outbox_is_empty)

    def _refused_close(self, code: str) -> None:
        try:
            self.as_("gk-dz").post("/reconciliation/close/", {"date": world.DAY.isoformat()})
        except RefusedByServer as refusal:
            self.compared.text("中间状态", "未平即日结", code, refusal.codes[0])
        else:
            self.compared.text("中间状态", "未平即日结", code, "日结成功")

    # What is compared -----------------------------------------------------------------------------------------------

    def _quota(self, name: str, expected: str, no: str) -> None:
        if not self.integrated:
            self._state(name, expected, books.quota(no))

    def _state(self, name: str, expected: str, actual: Decimal) -> None:
        self.compared.money("中间状态", name, expected, actual)

    def _sheet(self, name: str, pair: str, partner: str) -> None:
        sheet = books.last_sheet(pair, partner)
        ours, theirs = EXPECTED["reconciliation"][name]
        self.compared.money("对账", f"{name} 我方", ours, sheet.our_amount if sheet else D("-1"))
        self.compared.money("对账", f"{name} 对方", theirs, sheet.their_amount if sheet else D("-1"))


def compare(day: Day) -> Comparison:
    """Add the closing figures to the intermediate states."""
    found = day.compared
    for no, row in EXPECTED["indicators"].items():
        actual = books.indicator(no)
        for label, key, value in (
            ("总额", "total", actual.amount_total),
            ("冻结", "frozen", actual.amount_frozen),
            ("在途", "transit", actual.amount_reserved),
            ("已付", "paid", actual.amount_paid),
            ("退款", "refund", actual.amount_refunded),
            ("可用", "available", actual.amount_available),
        ):
            found.money("期末指标", f"{no} {label}", row[key], value)
    for no, expected in ({} if day.integrated else EXPECTED["quotas"]).items():
        found.money("期末额度与计划", no, expected, books.quota(no))
    _compare_payments(day, found)
    _compare_limits_and_accounts(day, found)
    alerts = books.alerts()
    names = {"YELLOW": "三级(黄)", "ORANGE": "二级(橙)", "RED": "一级(红)", "total": "合计"}
    total = (str(sum(int(n) for n, _ in alerts.values())), str(sum((D(a) for _, a in alerts.values()), D("0.00"))))
    for severity, (count, amount) in EXPECTED["alerts"].items():
        seen_count, seen_amount = total if severity == "total" else alerts.get(severity.lower(), ("0", "0.00"))
        found.text("动态监控", f"{names[severity]} 笔数", count, seen_count)
        found.money("动态监控", f"{names[severity]} 金额", amount, seen_amount)
    return found


RESULTS = {
    "成功": {"cleared"},
    "成功（不经清算）": {"paid"},
    "部分成功": {"cleared"},
    "一级预警→拦截": {"blocked"},
    "失败→额度恢复": {"failed"},
    "日终对账后补回单→成功": {"cleared"},
}


def _compare_payments(day: Day, found: Comparison) -> None:
    for payment, row in EXPECTED["payments"].items():
        actual = books.request(day.requests[payment])
        paid = actual.amount if actual.state in ("blocked", "failed") else actual.amount_paid
        found.money("支付", f"{payment} 金额", row["amount"], paid)
        reached = row["result"] if actual.state in RESULTS[row["result"]] else actual.state
        found.text("支付", f"{payment} 结果", row["result"], reached)
    for kind, number, amount in EXPECTED["vouchers_integrated" if day.integrated else "vouchers"]:
        if kind in ("2104", "2204", "2301", "2302"):
            message = books.inbound(kind, number, 1 if kind.startswith("23") else 0)
            found.text("凭证", f"{kind} {number}", "applied", message.state if message else "无")
        else:
            found.money("凭证", f"{kind} {number}", amount, books.voucher_amount(kind, number))


def _compare_limits_and_accounts(day: Day, found: Comparison) -> None:
    states = {world.BANK_A: day.bank_a.state(), world.BANK_B: day.bank_b.state(), world.PBOC: day.pboc.state()}
    keys = {"A-授权": (world.BANK_A, "12"), "B-授权": (world.BANK_B, "12"), "A-直接": (world.BANK_A, "11")}
    for key, expected in ({} if day.integrated else EXPECTED["clearing_limits"]).items():
        found.money("清算额度", f"{key} 财政账", expected, books.limit(*keys[key]))
        found.money("清算额度", f"{key} 人行账", expected, guide.pboc_limit(states[world.PBOC], *keys[key]))
    accounts: dict[str, tuple[str, str]] = {
        "TSA-271-一般公共预算": (world.PBOC, "990100271000000001"),
        "TSA-271-政府性基金": (world.PBOC, "990100271000000002"),
        "A-财政零余额": (world.BANK_A, world.ACCOUNT_FINANCE_A),
        "A-零余额-101001": (world.BANK_A, world.ACCOUNTS["101001"]),
        "B-零余额-101002": (world.BANK_B, world.ACCOUNTS["101002"]),
        "B-零余额-205001": (world.BANK_B, world.ACCOUNTS["205001"]),
        "A-财政专户(教育收费)": (world.BANK_A, world.ACCOUNT_SPECIAL_A),
        "B-101002基本户": (world.BANK_B, world.BASIC_ACCOUNT_101002),
    }
    for name, expected in EXPECTED["accounts"].items():
        partner, account_no = accounts[name]
        found.money("银行与国库账户", name, expected, guide.balance(states[partner], account_no))
    for partner in (world.BANK_A, world.BANK_B):
        twice: Any = states[partner]["executed_more_than_once"]
        found.text("银行与国库账户", f"{partner} 重复执行", "0", str(len(twice)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="worked_day", description=__doc__)
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument("--check", action="store_true", help="exit after the comparison")
    ending.add_argument("--serve", action="store_true", help="also say what to try next")
    chosen = parser.parse_args(arguments)
    day = Day(guide.chaos())
    try:
        day.run()
    except (AssertionError, RefusedByServer, books.TooSlow) as stopped:
        print(f"\n✗ 工作日中断：{type(stopped).__name__}: {stopped}", file=sys.stderr)
        day.compared.write(EXPECTED["not_yet_covered"])
        return 1
    found = compare(day)
    found.write(EXPECTED["not_yet_covered"])
    if chosen.serve:
        print(guide.what_to_try(day.base_url))
    return 1 if found.different else 0


if __name__ == "__main__":
    sys.exit(main())
