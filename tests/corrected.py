"""Short ways through corrections, for tests: a paid payment, and an indicator beside it that it belongs to."""

from decimal import Decimal

from budget.entries import Context
from budget.services import OpeningIndicator, import_indicator
from core.actors import system_actor
from demo import world
from parties.models import BankAccount, BudgetUnit
from payments import services
from payments.correcting import CorrectionInput
from payments.models import Correction
from tests import acts
from tests.conftest import NOW
from vouchers.codec import decode_content, receipt_of
from vouchers.models import Voucher

D = Decimal
REVIEWERS = ("u101001-fh", "jkw-sh", "gk-sh")


def second_indicator(
    no="I1B", *, unit="101001", mode="12", account="", left="5000.00", fund="11", function="2050102", day=None
):
    """Another indicator of the unit, with quota of its own."""
    import_indicator(
        OpeningIndicator(
            indicator_no=no,
            doc_no=f"临财预〔2026〕{no}号",
            unit=BudgetUnit.objects.get(code=unit),
            fund_nature=fund,
            function_code=function,
            gov_economic_code="50201" if mode == "12" else "50601",
            payment_mode=mode,
            payer_account=BankAccount.objects.get(account_no=account or world.ACCOUNTS[unit]),
            total=D("9000.00"),
            paid=D("0.00"),
            quota_left=D(left),
            tags=(),
            project_name="一般管理",
        ),
        Context(world.REGION, world.YEAR, day or world.DAY, system_actor("期初导入").name, NOW),
    )
    return world.indicator(no)


def paid(bank, no="I1", *amounts):
    request = acts.sent(no, *(amounts or ("1000.00",)))
    [answer] = bank.send(bank.receipt(request.voucher))
    assert answer.outcome == "applied", answer
    return acts.fresh(request)[0]


def asked(request, target, amount="600.00", *, seq=1, code="30201", reason="科目用错", clerk="u101001-jb"):
    given = CorrectionInput(
        detail_id=request.details.get(seq=seq).id,
        to_indicator_id=target.id,
        dept_economic_code=code,
        amount=D(amount),
        reason=reason,
    )
    return services.save_corrections(inputs=[given], clerk=world.officer(clerk), now=NOW)[0]


def submit(correction, clerk="u101001-jb"):
    return services.submit_corrections(correction_ids=[correction.id], clerk=world.officer(clerk), now=NOW)


def decide(correction, who, action="approve", reason=""):
    return services.decide_corrections(
        correction_ids=[correction.id], reviewer=world.officer(who), action=action, reason=reason, now=NOW
    )


def approve_all(correction, reviewers=REVIEWERS):
    for who in reviewers:
        decide(correction, who).raise_if_refused()


def issue(correction, who="gk-zd"):
    return services.issue_correction_vouchers(correction_ids=[correction.id], maker=world.officer(who), now=NOW)


def seal(correction, who="gk-yz"):
    return services.seal_correction_vouchers(correction_ids=[correction.id], sealer=world.officer(who), now=NOW)


def vouchered(request, target, amount="600.00", **changes):
    correction = asked(request, target, amount, **changes)
    submit(correction).raise_if_refused()
    approve_all(correction)
    issue(correction).raise_if_refused()
    return fresh(correction)


def sent(request, target, amount="600.00", **changes):
    """A correction that is with PBoC."""
    correction = vouchered(request, target, amount, **changes)
    seal(correction).raise_if_refused()
    return fresh(correction)


def fresh(correction):
    return Correction.objects.select_related("voucher", "from_indicator", "to_indicator").get(pk=correction.pk)


def receipt(pboc, correction, *, done=True, why="", **changes):
    """PBoC's receipt: both lines executed, or neither with the reason."""
    voucher = Voucher.objects.get(pk=fresh(correction).voucher_id)
    content, _ = decode_content(bytes(voucher.text))
    if voucher.voucher_type == "5351":
        main = {"XAccDate": "20260615"} | changes
        line = {"XDealResult": "1" if done else "0", "XAddWord": why}
        lines = {detail["Id"]: dict(line) for detail in content.details}
    else:
        main = {"XPayDate": "20260615", "XPayAmt": "0.00"} | changes
        lines = {
            detail["Id"]: {"XPayAmt": detail["PayAmt"] if done else "0.00", "XPayDate": "20260615", "XAddWord": why}
            for detail in content.details
        }
    return pboc.body(receipt_of(content, main, lines), 1)


def executed(pboc, correction, **changes):
    [answer] = pboc.send(receipt(pboc, correction, **changes))
    assert answer.outcome == "applied", answer
    return fresh(correction)
