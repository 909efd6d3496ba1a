"""The parts of the seals benchmark: what it reads, what it compares, and that it measures true verdicts only."""

import pytest

from bench import seals

SPEED = "+H:20\n+F7:0:256:CurveSM2:2747.474747:3160.000000\n"


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    return seals.Office(tmp_path_factory.mktemp("seals"))


@pytest.mark.parametrize(
    ("report", "rates"),
    [
        (SPEED, (2747.474747, 3160.0)),
        ("+F4:3:256:39563.636364:12672.727273\n", (39563.636364, 12672.727273)),
        ("+F2:3:3072:506.122449:23971.000000\n", (506.122449, 23971.0)),
    ],
)
def test_the_rates_are_read_from_the_report_of_every_algorithm(report, rates):
    assert seals.speeds_of(report) == rates


def test_a_report_without_rates_is_an_error():
    with pytest.raises(ValueError, match="no rates"):
        seals.speeds_of("speed: Unknown algorithm sm9\n")


def test_the_ratio_is_the_median_of_the_rounds_and_not_of_the_medians():
    said = seals.compared([(90, 50), (100, 50), (10, 50)], [(100, 50), (50, 100), (100, 25)])

    assert said["sign"] == {"per_second": 90, "openssl_per_second": 100, "ratio": 0.9}
    assert said["verify"] == {"per_second": 50, "openssl_per_second": 50, "ratio": 1.0}


def test_only_true_vouchers_are_verified(office):
    first, second = (office.envelope(content) for content in seals.vouchers(2))

    assert seals.verified(first, office.trust) and seals.verified(second, office.trust)
    assert not seals.verified(seals.forged(first, second), office.trust)
    assert seals.verifications(lambda: seals.verified(first, office.trust)) >= 3  # the text, and each use of a seal


def test_a_run_ends_without_figures_if_a_verdict_is_wrong(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["seals", "--rounds", "1", "--seconds", "0.01"])
    monkeypatch.setattr(seals, "pin", lambda: 0)  # the other tests keep their cores
    monkeypatch.setattr(seals, "MESSAGE", b"")  # of which a byte less is the same text

    assert seals.main() == 1
    assert capsys.readouterr().out == ""


def test_a_paper_has_the_originals_inside(office):
    [content] = seals.vouchers(1)
    originals = seals.originals_of(content, office)

    assert [original.name for original in originals] == ["voucher.txt", "dw_gz.der", "cz_dwgz.der"]
    assert seals.paper(content, originals, office).startswith(b"%PDF-1.7")
