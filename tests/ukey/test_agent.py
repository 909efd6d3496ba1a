"""The agent as a process: what it answers to its own pages, and what its log keeps."""

import base64
import json
import re
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from parties.duties import Post
from seals.statements import DOCUMENT_ACTIONS, PERSON_ACTIONS, tbs
from tests.ukey import officers
from tests.ukey.officers import PIN, SITE, item, order
from ukey_agent.software import SoftwareToken
from ukey_agent.words import ACTIONS, POSTS

ROOT = Path(__file__).parents[2]
TWO = [item(1), item(2)]


def sign(agent, body, pin=PIN):
    return agent.post("/sign", body | {"pin": pin})


def test_one_pin_signs_a_batch_of_two_hundred(agent, wang, now) -> None:
    body = order(wang, [item(number) for number in range(1, 201)], at=now)

    status, answer = sign(agent, body)

    assert status == 200 and set(answer) == {"signature", "certificate_serial"}
    assert answer["certificate_serial"] == wang.serial
    signature = base64.b64decode(answer["signature"], validate=True)
    assert wang.verify(tbs(body["statement"]), signature)
    assert not wang.verify(body["statement"].encode(), signature)


@pytest.mark.parametrize("action", ["login", "enrol", "renew"])
def test_a_statement_without_documents_is_signed(agent, wang, now, action) -> None:
    body = order(wang, [], at=now, action=action, adm_div_code="", post="")
    assert sign(agent, body)[0] == 200


def test_five_hundred_documents_of_the_greatest_length_fit(agent, wang, now) -> None:
    items = [item(number, payee="国" * 200, document_no="凭" * 64, former="f" * 64) for number in range(1, 501)]
    status, shown = agent.post("/review", order(wang, items, at=now))
    assert (status, len(shown["items"])) == (200, 500)


def test_the_page_shows_what_is_signed(agent, wang, now) -> None:
    body = order(wang, [*TWO, item(3, revision=2)], at=now, action="return", note="附件不全")

    status, shown = agent.post("/review", body)

    assert status == 200
    assert (shown["action_name"], shown["count"], shown["sum"], shown["note"]) == ("退回", 3, "600.03", "附件不全")
    assert (shown["officer"], shown["post_name"], shown["origin"]) == ("王知远", "国库支付审核", SITE)
    assert shown["items"][2] == {
        "no": "ZF2026000003", "payee": "临江市第3供水有限公司", "amount": "300.01", "revision": 2,
    }  # fmt: skip
    assert (shown["token"]["label"], shown["token"]["tries_left"]) == ("wang", 6)


def test_asking_what_would_be_signed_costs_no_try_and_signs_nothing(agent, wang, now) -> None:
    status, shown = agent.post("/review", order(wang, TWO, at=now))
    assert status == 200 and "signature" not in json.dumps(shown)
    assert wang.token.info().tries_left == 6


def test_posts_and_actions_have_the_names_of_the_finance_system() -> None:
    assert {str(post.value): str(post.label) for post in Post} == POSTS
    assert set(ACTIONS) == DOCUMENT_ACTIONS | PERSON_ACTIONS


def test_a_statement_may_be_signed_again_while_it_lives(agent, wang, now) -> None:
    body = order(wang, TWO, at=now)
    first, second = sign(agent, body), sign(agent, body)
    assert first[0] == second[0] == 200 and first[1]["signature"] != second[1]["signature"]


def test_the_sixth_wrong_pin_locks_and_says_so(agent, wang, now) -> None:
    body = order(wang, TWO, at=now)
    for left in (5, 4, 3, 2, 1):
        status, answer = sign(agent, body, "000000")
        assert (status, answer["code"], answer["tries_left"]) == (422, "pin_wrong", left)
    assert sign(agent, body, "000000")[0] == 423
    status, answer = sign(agent, body)
    assert (status, answer["code"], answer["tries_left"]) == (423, "pin_locked", 0)


def test_a_restarted_agent_has_not_forgotten_the_tries(start, tokens, wang, now) -> None:
    agent = start(tokens)
    body = order(wang, TWO, at=now)
    for _ in range(5):
        sign(agent, body, "000000")
    agent.process.kill()
    agent.process.wait(timeout=20)

    again = start(agent.tokens)

    assert sign(again, body, "000000")[0] == 423


def test_a_token_added_while_it_runs_is_found(agent, authority, now) -> None:
    li = officers.with_software_token(agent.tokens, authority, "li", "李青", "ecdsa-p256-sha256")
    status, answer = sign(agent, order(li, TWO, at=now))
    assert status == 200 and answer["certificate_serial"] == li.serial


# Tokens --------------------------------------------------------------------------------------------------------------


def test_info_shows_tokens_and_no_secret(agent, wang) -> None:
    status, headers, shown = agent.request("GET", "/info")
    assert status == 200 and "access-control-allow-origin" not in headers
    (token,) = shown["tokens"]
    assert (token["label"], token["holder"], token["tries_left"]) == ("wang", "王知远", 6)
    assert token["certificate_serial"] == wang.serial
    stored = json.loads(wang.token.path.read_text())
    text = json.dumps(shown)
    assert stored["salt"] not in text and stored["keys"]["current"]["sealed"] not in text


def test_from_a_new_token_to_its_first_signature(agent, authority, now) -> None:
    made = {"label": "陈晓", "holder": "陈晓", "suite": "sm2-sm3", "pin": "135790"}
    status, answer = agent.post("/tokens", made)
    assert status == 201

    path = "/tokens/%E9%99%88%E6%99%93/certificate"
    status, shown = agent.post(path, {"certificate": authority.certify(answer["csr"])})
    assert (status, shown["awaits_certificate"]) == (200, False)

    chen = officers.Officer(_token(agent, "陈晓"), "135790", "陈晓")
    assert sign(agent, order(chen, TWO, at=now), "135790")[0] == 200


def test_a_renewed_key_takes_over_with_its_certificate(agent, wang, authority, now) -> None:
    before = wang.serial
    status, answer = agent.post("/tokens/wang/csr", {"pin": PIN, "suite": "sm2-sm3"})
    assert status == 200 and wang.serial == before
    agent.post("/tokens/wang/certificate", {"certificate": authority.certify(answer["csr"])})
    assert wang.serial != before and sign(agent, order(wang, TWO, at=now))[0] == 200


def test_a_pin_is_changed_by_who_knows_it(agent, wang, now) -> None:
    assert agent.post("/tokens/wang/pin", {"pin": "000000", "new_pin": "999999"})[1]["tries_left"] == 5
    assert agent.post("/tokens/wang/pin", {"pin": PIN, "new_pin": "999999"})[0] == 200
    body = order(wang, TWO, at=now)
    assert sign(agent, body)[1]["code"] == "pin_wrong" and sign(agent, body, "999999")[0] == 200


def test_a_second_token_of_one_label_is_refused(agent) -> None:
    made = {"label": "wang", "holder": "别人", "suite": "sm2-sm3", "pin": "135790"}
    status, answer = agent.post("/tokens", made)
    assert (status, answer["code"]) == (409, "token_exists")


def _token(agent, label):
    return SoftwareToken(agent.tokens, label)


# The program ---------------------------------------------------------------------------------------------------------


def test_the_log_is_json_and_holds_neither_pin_nor_key(start, tokens, wang, now) -> None:
    agent = start(tokens)
    body = order(wang, TWO, at=now)
    sign(agent, body)
    sign(agent, body, "000000")
    agent.post("/tokens/wang/pin", {"pin": PIN, "new_pin": "999999"})
    agent.post("/tokens/wang/csr", {"pin": "999999", "suite": "sm2-sm3"})
    agent.post("/sign", {"pin": "777777"})
    agent.request("POST", "/sign?pin=888888", body | {"pin": "666666"}, Origin="http://evil.example")

    text = agent.stop()

    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["event"], line.get("code")) for line in lines] == [
        ("signed", None), ("refused", "pin_wrong"), ("token_pin", None), ("token_csr", None),
        ("refused", "bad_request"), ("refused", "forbidden"),
    ]  # fmt: skip
    assert lines[0] | {"at": ""} == {
        "at": "", "event": "signed", "label": "wang", "certificate_serial": wang.serial, "action": "approve",
        "count": 2, "sum": "300.02", "nonce": "0123456789abcdef0123456789abcdef",
    }  # fmt: skip
    for secret in (PIN, "000000", "999999", "777777", "888888", "666666", "PRIVATE"):
        assert secret not in text.replace("0" * 64, "")


def test_it_listens_on_the_loopback_only(agent) -> None:
    table = (Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()).splitlines()
    listening = [row.split()[1] for row in table if f":{agent.port:04X} " in row and row.split()[3] == "0A"]
    assert listening == [f"0100007F:{agent.port:04X}"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--tokens", "{folder}"],
        ["--tokens", "{folder}", "--origin", "*"],
        ["--tokens", "{folder}", "--origin", "null"],
        ["--tokens", "{folder}", "--origin", "https://a.example/"],
        ["--tokens", "{folder}", "--origin", "https://a.example https://b.example"],
        ["--origin", SITE],
    ],
)
def test_it_does_not_start_for_nobody_or_for_everybody(tmp_path, arguments) -> None:
    command = [sys.executable, "-m", "ukey_agent", *(part.format(folder=tmp_path) for part in arguments)]
    environment = {"PATH": "/usr/bin", "HOME": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2 and "listening" not in ended.stdout


def test_it_takes_its_settings_from_the_environment(tmp_path) -> None:
    folder = tmp_path / "tokens"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": "/usr/bin", "GUOKU_UKEY_TOKENS": str(folder), "GUOKU_UKEY_PORT": str(port),
        "GUOKU_UKEY_ORIGINS": f"{SITE}, https://guoku.example",
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "ukey_agent"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        first = json.loads(process.stdout.readline())
        process.terminate()
    assert first["address"] == f"http://127.0.0.1:{port}" and first["origins"] == [SITE, "https://guoku.example"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_it_is_a_program_without_django() -> None:
    probe = "import sys, ukey_agent.__main__; print([n for n in sys.modules if n.partition('.')[0] in %r])"
    outside = ("django", "parties", "vouchers", "payments", "budget", "treasury", "dashboards", "monitoring")
    printed = subprocess.run(
        [sys.executable, "-c", probe % (outside,)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"


def test_it_imports_of_this_repository_what_docs_ukey_md_names() -> None:
    named = re.findall(
        r"^from ((?:core|seals)[\w.]*) import",
        "\n".join(path.read_text() for path in (ROOT / "ukey_agent").glob("*.py")),
        re.MULTILINE,
    )
    assert set(named) <= {
        "core.digests", "seals", "seals.certificates", "seals.errors", "seals.statements", "seals.suites",
    }  # fmt: skip


def test_a_caller_that_says_nothing_does_not_hold_the_agent_up(agent, wang, now) -> None:
    silent = [socket.create_connection(("127.0.0.1", agent.port)) for _ in range(20)]
    try:
        started = time.monotonic()
        assert sign(agent, order(wang, TWO, at=now + timedelta(seconds=1)))[0] == 200
        assert time.monotonic() - started < 5
    finally:
        for connection in silent:
            connection.close()
