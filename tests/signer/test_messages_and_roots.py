"""What else the organisations' keys sign: message bases in our one form, and roots that continue the log."""

import base64
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from core.errors import TreasuryError
from core.merkle import consistency_path, leaf_hash, root_of
from demo import world
from evidence.formats import root_text
from seals.certificates import parse_certificate
from seals.httpsig import sign_request, sign_response, verify_request, verify_response
from seals.models import Certificate
from seals.signing import message_signer, the_signer
from seals.statements import tbs
from tests.signer.scene import holds, order_of, tampering, vouchered

NONCE = "9fJ3-2dK8_aQ"


def refused_message(base):
    identity, sign = message_signer(world.FINANCE)
    with pytest.raises(TreasuryError) as found:
        sign(base)
    assert identity.organisation_code == world.FINANCE
    return found.value.code


# Messages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("organisation", [world.FINANCE, "UNIT-101001"])
@pytest.mark.parametrize("key", [None, "action-17"])
@pytest.mark.parametrize("body", [b"", b"<x/>"])
def test_requests_and_answers_are_signed_for_both_suites(asked, organisation, key, body):
    identity, sign = message_signer(organisation)
    public = parse_certificate(Certificate.objects.get(serial_hex=identity.serial_hex).pem).public_key
    now = int(time.time())
    asks = {"key_id": identity.key_id, "suite": identity.suite, "sign": sign, "created": now}
    headers = sign_request(
        "POST", "/api/v1/vouchers", "a=1", body, "application/xml", nonce=NONCE, idempotency_key=key, **asks
    )
    verify_request("POST", "/api/v1/vouchers", "a=1", body, headers, public_key=public, suite=identity.suite, now=now)
    answer = sign_response(200, body, NONCE, **asks)
    verify_response(200, body, answer, NONCE, public_key=public, suite=identity.suite, now=now)


def good_base(identity, **changes):
    values = {
        "created": int(time.time()),
        "keyid": identity.key_id,
        "alg": identity.suite_id,
        "tag": "guoku-v1",
        "names": '"@status" "content-digest" "guoku-request-nonce"',
        "lines": f'"@status": 200\n"content-digest": sm3=:{"A" * 43}=:\n"guoku-request-nonce": {NONCE}',
        "more": "",
    } | changes
    return (
        f'{values["lines"]}\n"@signature-params": ({values["names"]});created={values["created"]}{values["more"]}'
        f';keyid="{values["keyid"]}";alg="{values["alg"]}";tag="{values["tag"]}"'
    ).encode()


def test_a_base_in_our_form_is_signed(asked):
    identity, sign = message_signer(world.FINANCE)
    assert sign(good_base(identity))[0] == 0x30


@pytest.mark.parametrize(
    "changes",
    [
        {"created": 1}, {"created": int(time.time()) + 3600}, {"keyid": "BANK-A:01"}, {"alg": "ecdsa-p256-sha256"},
        {"tag": "other"}, {"names": '"@status"'}, {"lines": '"@status": 200'}, {"more": f';nonce="{NONCE}"'},
        {"more": ";expires=1"}, {"names": '"@status" "guoku-request-nonce" "content-digest"'},
        {"lines": '"@status": abc\n"content-digest": sm3=:x=:\n"guoku-request-nonce": 12345678'},
        {"lines": f'"@status": 200\n"content-digest": sm3=:{"A" * 43}=:\n"guoku-request-nonce": {NONCE}\n'},
        {"tag": 'guoku-v1";x="1'},
    ],
)  # fmt: skip
def test_a_base_that_deviates_is_not_signed(asked, changes):
    identity, _ = message_signer(world.FINANCE)
    assert refused_message(good_base(identity, **changes)) == "not_a_message"


def test_nothing_that_means_something_else_is_signed_as_a_message(asked):
    request = vouchered("I4")
    certificate_body = bytes.fromhex("3082010a")
    for text in (
        bytes(request.voucher.text),
        base64.b64decode(bytes(request.voucher.text)),
        tbs('{"action":"approve"}'),
        root_text(stream="990100000/2026", size=1, root="ab" * 32, at=datetime.now(UTC)),
        certificate_body,
        b"",
        "报文".encode(),
        b'"@signature-params": ();created=1',
    ):
        assert refused_message(text) == "not_a_message"


def test_the_key_named_must_be_the_key_used(asked):
    with pytest.raises(TreasuryError) as found:
        the_signer().sign_message(world.FINANCE, "01", good_base(the_signer().identity(world.FINANCE)))
    assert found.value.code == "not_a_message"


def test_an_organisation_without_a_key_and_a_revoked_certificate_sign_nothing(asked):
    for code in ("NOBODY", "../BANK-A", "ca", ""):
        with pytest.raises(TreasuryError) as found:
            the_signer().identity(code)
        assert found.value.code in ("no_signing_key", "question_malformed")
    identity, sign = message_signer("UNIT-205001")
    base = good_base(identity)
    assert sign(base)
    with tampering("seals_certificate"):
        Certificate.objects.filter(serial_hex=identity.serial_hex).update(
            status="revoked", revoked_at=timezone.now(), revoke_reason="更换"
        )
    with pytest.raises(TreasuryError) as found:
        sign(base)
    assert found.value.code == "certificate_not_registered"


# Roots --------------------------------------------------------------------------------------------------------------

LEAVES = [leaf_hash(str(n).encode()) for n in range(40)]
OTHER = [leaf_hash(f"other {n}".encode()) for n in range(40)]


class Log:
    """One stream, asked about as the evidence app asks."""

    def __init__(self, stream):
        self.stream = stream

    def sign(self, size, earlier, /, *, leaves=LEAVES, organisation=world.FINANCE, path=None, **changes):
        root = root_of(leaves[:size]).hex()
        values = {"stream": self.stream, "size": size, "root": root, "at": datetime.now(UTC)} | changes
        proof = path if path is not None else (consistency_path(leaves[:size], earlier) if earlier else [])
        text = root_text(**values)
        return the_signer().sign_root(organisation, text, earlier, proof), text

    def refused(self, *arguments, **changes):
        with pytest.raises(TreasuryError) as found:
            self.sign(*arguments, **changes)
        return found.value


@pytest.fixture
def log(asked, request):
    digits = abs(hash(request.node.name)) % 9000 + 1000  # a stream of its own for each test
    return Log(f"{world.REGION}/{digits}")


def test_roots_that_continue_the_log_are_signed(log):
    mark, text = log.sign(3, 0)
    assert holds(mark, world.FINANCE, text)
    for size, earlier in ((3, 3), (4, 3), (17, 4), (40, 17)):
        mark, text = log.sign(size, earlier)
        assert holds(mark, world.FINANCE, text)


def test_the_roots_of_the_system_stream_are_the_bureaus(asked):
    mark, text = Log("system/0").sign(3, 0)
    assert holds(mark, world.FINANCE, text)
    assert Log("system/0").refused(3, 3, organisation="UNIT-101001").code == "organisation_differs"


def test_a_fork_is_refused_and_stays_refused(log):
    log.sign(5, 0)
    for size in (5, 6, 40):
        assert log.refused(size, 5 if size > 5 else 0, leaves=OTHER).code == "log_forked"
    assert log.refused(6, 5, path=[]).code == "log_forked"
    assert log.refused(40, 5, leaves=[*LEAVES[:4], *OTHER[4:]]).code == "log_forked"
    mark, text = log.sign(6, 5)  # the true log goes on
    assert holds(mark, world.FINANCE, text)


def test_a_shorter_log_is_refused_and_stays_refused_across_a_restart(log, asked):
    log.sign(9, 0)
    assert log.refused(8, 0).code == "log_shortened"
    asked.kill()
    asked.start()
    found = log.refused(8, 0)
    assert (found.code, found.facts["size"]) == ("log_shortened", 9)
    assert found.facts["root"] == root_of(LEAVES[:9]).hex()


def test_a_caller_that_missed_an_answer_learns_from_where_to_prove(log):
    log.sign(5, 0)
    log.sign(7, 5)  # this answer was lost: the caller's last root is 5
    found = log.refused(9, 5)
    assert (found.code, found.facts["size"]) == ("log_proof_differs", 7)
    mark, text = log.sign(9, found.facts["size"])
    assert holds(mark, world.FINANCE, text)


@pytest.mark.parametrize(
    "changes",
    [{"root": "AB" * 32}, {"root": "ab" * 31}, {"size": -1}, {"size": 0}, {"stream": "990100000/2026/1"},
     {"stream": "system/1"}, {"stream": "../../x"}],
)  # fmt: skip
def test_what_is_not_a_root_in_its_one_spelling_is_not_signed(log, changes):
    assert log.refused(3, 0, **changes).code == "not_a_root"


def test_other_texts_are_not_signed_as_roots(log):
    voucher = order_of(vouchered("I4").voucher)
    good = root_text(stream=log.stream, size=1, root=LEAVES[0].hex(), at=datetime.now(UTC))
    for text in (voucher.text, tbs("{}"), good + b" ", good.replace(b":1,", b": 1,"), good[14:], b""):
        with pytest.raises(TreasuryError) as found:
            the_signer().sign_root(world.FINANCE, text, 0, [])
        assert found.value.code == "not_a_root"


def test_a_root_of_another_time_or_another_region_is_not_signed(log):
    assert log.refused(3, 0, at=datetime.now(UTC) - timedelta(minutes=6)).code == "root_not_current"
    assert log.refused(3, 0, at=datetime.now(UTC) + timedelta(minutes=6)).code == "root_not_current"
    assert log.refused(3, 0, organisation="UNIT-101001").code == "organisation_differs"
    assert log.refused(3, 0, stream="990200000/2026").code == "organisation_differs"


def test_two_operators_may_accept_a_shorter_log(log, asked):
    log.sign(9, 0)

    def accept(by, second, reason="数据库恢复到昨晚的备份"):
        root = root_of(LEAVES[:4]).hex()
        command = ["--stream", log.stream, "--size", "4", "--root", root, "--reason", reason]
        return asked.manage("accept_shorter_log", *command, "--by", by, "--second", second)

    for persons in (("甲", "甲"), ("甲", " "), ("甲", "乙", "无")):
        assert accept(*persons).returncode != 0
    assert log.refused(5, 4).code == "log_shortened"

    done = accept("王立人", "李守诚")

    assert done.returncode == 0 and "第 9 条" in done.stdout, done.stderr
    assert log.refused(5, 4, leaves=OTHER).code == "log_forked"
    mark, text = log.sign(5, 4)
    assert holds(mark, world.FINANCE, text)
    memory = (asked.state / f"roots-{log.stream.replace('/', '-')}.jsonl").read_text()
    assert "王立人" in memory and "李守诚" in memory and "昨晚的备份" in memory


def test_a_line_cut_off_by_a_crash_is_left_behind(log, asked):
    log.sign(5, 0)
    path = asked.state / f"roots-{log.stream.replace('/', '-')}.jsonl"
    with path.open("ab") as file:
        file.write(b'{"at":"2026-11-24T00:00:00Z","root":"')
    log.sign(6, 5)
    assert [line[:1] + line[-1:] for line in path.read_text().splitlines()] == ["{}", "{}"]
