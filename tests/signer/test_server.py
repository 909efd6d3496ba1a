"""The process itself: who may speak to it, what a bad frame does, how it ends and comes back."""

import json
import os
import signal
import socket
import stat
import struct
import threading
import time
from pathlib import Path

import pytest
from django.db import connection

from core.errors import TreasuryError
from demo import world
from seals.errors import SignerUnavailable
from seals.signer_client import LONGEST_FRAME, _forget, ask
from seals.signing import message_signer, the_signer
from signer import server
from tests.acts import together
from tests.signer.process import SignerProcess
from tests.signer.scene import order_of, seal, vouchered


def connected(process):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(15)
    connection.connect(str(process.socket))
    return connection


def exchange(connection, content):
    connection.sendall(struct.pack(">I", len(content)) + content)
    (length,) = struct.unpack(">I", connection.recv(4))
    received = b""
    while len(received) < length:
        received += connection.recv(length - len(received))
    return json.loads(received)


def ended(connection):
    """Whether the other side has closed without a word."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_one_connection_carries_many_questions(asked):
    with connected(asked) as connection:
        assert [exchange(connection, b'{"verb": "ping"}')["ok"] for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">I", LONGEST_FRAME + 1),
        b"\xff\xff\xff\xff",
        struct.pack(">I", 4) + b"{}}}",
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 0),
        struct.pack(">I", 6) + b'"ping"',
        struct.pack(">I", 200_000) + b"[" * 200_000,
        struct.pack(">I", 3) + b"\xff\xfe\xfd",
    ],
    ids=["too long", "longest", "no JSON", "a list", "empty", "a text", "too deep", "no UTF-8"],
)
def test_a_frame_that_is_none_ends_its_own_connection_and_no_other(asked, sent):
    with connected(asked) as good, connected(asked) as bad:
        assert exchange(good, b'{"verb": "ping"}')["ok"]
        bad.sendall(sent)
        assert ended(bad)
        assert exchange(good, b'{"verb": "ping"}')["ok"]


def test_a_frame_announced_and_never_sent_is_given_up(asked):
    with connected(asked) as slow, connected(asked) as good:
        started = time.monotonic()
        slow.sendall(struct.pack(">I", 1000) + b'{"verb"')
        threading.Thread(target=_drip, args=(slow, 14), daemon=True).start()
        assert exchange(good, b'{"verb": "ping"}')["ok"]  # meanwhile others are served
        assert ended(slow)
        assert server.SECONDS_FOR_A_FRAME - 1 < time.monotonic() - started < server.SECONDS_FOR_A_FRAME + 4


def _drip(connection, seconds):
    """One byte now and then: each for itself in time, all together not."""
    for _ in range(seconds):
        time.sleep(1)
        try:
            connection.sendall(b" ")
        except OSError:
            return


@pytest.mark.parametrize(
    "question",
    [
        {"verb": "unknown"}, {}, {"verb": None}, {"verb": "identity"}, {"verb": "identity", "organisation_code": 7},
        {"verb": "seal_vouchers"}, {"verb": "seal_vouchers", "orders": [], "warrant": {}},
        {"verb": "seal_vouchers", "orders": [{}], "warrant": {"items": []}},
        {"verb": "sign_message", "organisation_code": world.FINANCE, "serial_hex": "01", "base": "!"},
        {"verb": "sign_root", "organisation_code": world.FINANCE, "text": "", "earlier": True, "path": []},
        {"verb": "sign_root", "organisation_code": world.FINANCE, "text": "", "earlier": 0, "path": ["é"]},
        {"verb": "identity", "organisation_code": "a\0b"}, {"verb": "issue_crl", "suite_id": "../x"},
        {"verb": "issue_officer_certificate", "request_id": "1"},
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused_and_the_connection_lives(asked, question):
    with connected(asked) as connection:
        answer = exchange(connection, json.dumps(question).encode())
        assert answer["refused"]["code"] in {"verb_unknown", "question_malformed", "no_signing_key"}, answer
        assert exchange(connection, b'{"verb": "ping"}')["ok"]


def test_other_users_hear_nothing(town, keys, tmp_path):
    stranger = SignerProcess(tmp_path, keys, GUOKU_SIGNER_ALLOWED_UIDS=str(os.getuid() + 1))
    try:
        with connected(stranger) as connection:
            connection.sendall(struct.pack(">I", 16) + b'{"verb": "ping"}')
            assert ended(connection)
        assert "connection refused" in stranger.lines()
        assert f'"uid": {os.getuid()}' in stranger.lines()
    finally:
        stranger.end()


def test_the_socket_is_closed_to_others_from_its_first_moment(asked):
    assert stat.S_IMODE(asked.socket.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(asked.socket.stat().st_mode)


def test_the_socket_may_be_shared_with_a_group(town, keys, tmp_path):
    process = SignerProcess(tmp_path, keys, GUOKU_SIGNER_SOCKET_MODE="660")
    try:
        assert stat.S_IMODE(process.socket.stat().st_mode) == 0o660
    finally:
        process.end()


def test_a_second_signer_does_not_take_the_socket_away(asked, keys, tmp_path):
    with pytest.raises(AssertionError, match="cannot listen"):
        SignerProcess(tmp_path, keys, GUOKU_SIGNER_SOCKET=str(asked.socket))
    assert asked.ask("ping")["ok"]


def test_killed_between_two_questions_and_started_again_the_client_goes_on(asked):
    first, second = vouchered("I4", "1.00"), vouchered("I4", "2.00")
    assert len(seal(order_of(first.voucher))) == 1
    asked.kill()
    asked.start()  # the socket a dead process left behind is no hindrance
    assert len(seal(order_of(second.voucher))) == 1


def test_while_it_is_down_the_client_says_so_and_nothing_is_lost(asked):
    order = order_of(vouchered("I4").voucher)
    asked.kill()
    try:
        for _ in range(2):
            with pytest.raises(SignerUnavailable) as found:
                seal(order)
            assert found.value.http_status == 503
    finally:
        asked.start()
    assert len(seal(order)) == 1


def test_sigterm_ends_it_cleanly_and_takes_the_socket_along(asked):
    with connected(asked) as idle:
        assert exchange(idle, b'{"verb": "ping"}')["ok"]
        started = time.monotonic()
        assert asked.stop() == 0
        assert time.monotonic() - started < 5
    assert not asked.socket.exists()
    assert '"message": "stopped"' in asked.lines()
    asked.start()


def test_a_lost_database_connection_is_replaced(asked):
    assert the_signer().identity(world.FINANCE)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    codes = []
    for _ in range(3):
        try:
            the_signer().identity(world.FINANCE)
            codes.append("")
        except TreasuryError as refusal:
            codes.append(refusal.code)
    assert codes[-1] == "" and set(codes) <= {"", "signer_unavailable"}


def test_the_signer_cannot_write_the_database(asked):
    done = asked.manage("shell", "-c", "from parties.models import Region; Region.objects.update(name='x')")
    assert "read-only transaction" in done.stderr


def test_many_threads_are_served_at_once(asked):
    def talk():
        identity, sign = message_signer(world.FINANCE)
        try:
            return len({sign(_base(identity)) for _ in range(5)})
        finally:
            _forget()

    assert together(*[talk] * 8) == [5] * 8


def _base(identity):
    return (
        f'"@status": 200\n"content-digest": sm3=:{"A" * 43}=:\n"guoku-request-nonce": 12345678\n'
        f'"@signature-params": ("@status" "content-digest" "guoku-request-nonce");created={int(time.time())}'
        f';keyid="{identity.key_id}";alg="{identity.suite_id}";tag="guoku-v1"'
    ).encode()


def test_the_log_is_one_json_object_a_line_and_holds_no_text_and_no_key(asked, keys):
    request = vouchered("I4")
    order = order_of(request.voucher)
    seal(order)
    with pytest.raises(TreasuryError):
        ask("seal_vouchers", orders=[], warrant={})
    lines = [json.loads(line) for line in asked.lines().splitlines()]
    assert {"answered", "listening"} <= {line["message"] for line in lines}
    assert {"done", "question_malformed"} <= {line.get("outcome") for line in lines}
    for path in keys.rglob("key.pem"):
        assert path.read_text().splitlines()[1] not in asked.lines()
    assert order.text.decode() not in asked.lines()


def test_it_writes_no_core_and_lets_no_debugger_in(asked):
    limits = Path(f"/proc/{asked.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    assert "not_dumpable" in asked.lines()
    assert os.stat(f"/proc/{asked.pid}/environ").st_uid == 0  # the kernel gives /proc of such a process to root


def test_an_interrupt_from_the_terminal_ends_it_as_well(town, keys, tmp_path):
    process = SignerProcess(tmp_path, keys)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 0
