"""The parts of the payday benchmark that need no running system: what it plans, how it judges, what it prints."""

from decimal import Decimal
from pathlib import Path

import pytest

from bench import _meters, _plan, _proof, _tpcb, payday

D = Decimal


@pytest.mark.parametrize("count", [1, 7, 200, 1234])
def test_every_payment_is_in_exactly_one_batch_of_its_own_unit(count):
    planned = _plan.payments(count)
    cut = _plan.batches(planned, 50)
    assert sorted(p.number for batch in cut for p in batch.payments) == list(range(count))
    assert all(len(batch.payments) <= 50 and {p.unit for p in batch.payments} == {batch.unit} for batch in cut)


def test_amounts_are_foretold_and_spread_over_indicators():
    planned = _plan.payments(1200)
    by_indicator = _plan.totals_by_indicator(planned)
    assert len(by_indicator) == len(_plan.UNITS) * _plan.INDICATORS_PER_UNIT
    assert sum(by_indicator.values()) == _plan.total(planned) == _plan.total(_plan.payments(1200))
    assert all(D("100.00") <= p.amount < D("1000.00") and p.amount.as_tuple().exponent == -2 for p in planned)
    assert len({p.payee_account_no for p in planned}) == 1200


@pytest.mark.parametrize(
    ("report", "tps"),
    [
        ("latency average = 2 ms\ntps = 3519.250000 (without initial connection time)\n", 3519.25),
        ("tps = 9.0 (including connections establishing)\ntps = 10.5 (excluding connections establishing)\n", 10.5),
    ],
)
def test_the_rate_is_read_from_every_pgbench(report, tps):
    assert _tpcb.tps_of(report) == tps


def test_a_report_without_a_rate_is_an_error():
    with pytest.raises(ValueError, match="no tps"):
        _tpcb.tps_of("pgbench: error")


def execution(number, amount, *, historic=0):
    return {"voucher_no": number, "amount": amount, "historic": historic}


VOUCHERS = {"SZ0001": D("100.01"), "SZ0002": D("200.02")}


def test_executed_once_each_is_right():
    rows = [execution("SZ0001", "100.01"), execution("SZ0002", "200.02"), execution("SZ0000", "3000.00", historic=1)]
    assert _proof.executed_once(VOUCHERS, rows) == []


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([execution("SZ0001", "100.01")], "SZ0002 executed 0 times"),
        ([execution("SZ0001", "100.01")] * 2 + [execution("SZ0002", "200.02")], "SZ0001 executed 2 times"),
        ([execution("SZ0001", "100.02"), execution("SZ0002", "200.01")], "SZ0001 executed with 100.02"),
        ([execution(no, "1.00") for no in (*VOUCHERS, "SZ0009")], "SZ0009 executed, but not ours"),
    ],
)
def test_any_other_ledger_is_wrong(rows, says):
    assert says in _proof.executed_once(VOUCHERS, rows)


def test_clearings_are_counted_by_detail_and_by_fen():
    cleared = [{"payment_no": no, "amount": str(amount)} for no, amount in VOUCHERS.items()]
    assert _proof.cleared_once(VOUCHERS, cleared) == []
    assert _proof.cleared_once(VOUCHERS, cleared[:1]) == [
        "details cleared by PBoC: 1, wanted 2",
        "vouchers cleared by PBoC: 1, wanted 2",
        "amount cleared by PBoC: 100.01, wanted 300.03",
    ]


def test_a_zero_balance_account_must_be_at_nought():
    bank = {"accounts": [{"no": "6210001010010001", "balance": "-0.01"}, {"no": "other", "balance": "5.00"}]}
    assert _proof.zero_balances([bank]) == ["balance of 6210001010010001: -0.01, wanted 0.00"]


def test_a_document_for_two_destinations_is_signed_once():
    row = {"voucher_type": "2301", "voucher_no": "HK-A-01", "flag": 0}
    state = {"issued": [row | {"destination": "PBOC"}, row | {"destination": "FIN"}, row | {"flag": 1}]}
    assert _meters.issued_documents(state) == 2


def test_signatures_are_counted_from_the_start_of_the_clock():
    spent = _meters.Signatures(10, 20, 30, 40).since(_meters.Signatures(0, 10, 10, 10))
    assert spent.per_payment(10) == {
        "sign": 3.0, "verify": 4.0, "ours_sign": 1.0, "ours_verify": 1.0, "partners_sign": 2.0, "partners_verify": 3.0
    }  # fmt: skip


def test_processes_are_seen_with_their_memory(tmp_path: Path):
    run_file = tmp_path / "run.json"
    run_file.write_text('{"processes": {"gone": 999999999}}')
    processes = _meters.Processes(run_file)
    processes.sample()
    assert processes.peak_rss_mb()["bench"] > 10
    assert "gone" not in processes.peak_rss_mb()


def test_the_ratio_is_to_the_mean_of_both_rates():
    line = payday.result(count=1000, seconds=10.0, rates=(3000.0, 5000.0), tpcb_by="pgbench", wrong=[], cpus=2)
    assert (line["payments_per_second"], line["ratio"], line["ok"], line["cpus"]) == (100.0, 0.025, True, 2)
    assert not payday.result(count=1, seconds=1.0, rates=(1.0, 1.0), tpcb_by="pgbench", wrong=["x"])["ok"]


@pytest.mark.parametrize("given", [["--payments", "0"], ["--batch", "501"], ["--clients", "0"]])
def test_impossible_sizes_are_refused(given):
    with pytest.raises(SystemExit):
        payday.arguments(given)
