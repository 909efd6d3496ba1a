"""Private keys are in the signer and nowhere else: memory, environment and command line of others are walked."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from demo import world
from tests.signer.memory import bytes_readable, keys_below, needles, search_process
from tests.signer.process import ROOT, database_dsn
from treasury.settings import base, dev

HOLDER = """
import sys
from pathlib import Path
from seals.suites import get_suite
pem = Path(sys.argv[1]).read_bytes()
suite = get_suite(sys.argv[2])
key = suite.load_private_key(pem)
suite.sign(key, b"held")
print("ready", flush=True)
sys.stdin.readline()
"""
WEB = """
import os, sys
import django
django.setup()
from django.core.handlers.wsgi import WSGIHandler
from seals.signing import message_signer
application = WSGIHandler()
identity, sign = message_signer(sys.argv[1])
import time
created = int(time.time())
base = (f'"@status": 200\\n"content-digest": sm3=:{"A" * 43}=:\\n"guoku-request-nonce": 12345678\\n'
        f'"@signature-params": ("@status" "content-digest" "guoku-request-nonce");created={created}'
        f';keyid="{identity.key_id}";alg="{identity.suite_id}";tag="guoku-v1"').encode()
assert sign(base)
print("ready", flush=True)
sys.stdin.readline()
"""


def running(program, *arguments, **environment):
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("organisation", "suite"), [(world.FINANCE, "sm2-sm3"), ("UNIT-101001", "ecdsa-p256-sha256")])
def test_the_walk_finds_a_key_where_there_is_one(keys, organisation, suite):
    path = keys / organisation / "key.pem"
    holder = running(HOLDER, str(path), suite)
    try:
        found = {find.what for find in search_process(holder.pid, needles(path.read_bytes()))}
    finally:
        holder.communicate("\n", timeout=20)
    assert "PEM text" in found
    assert found & {"number, most significant first", "number, least significant first"}, found


def test_the_walk_finds_a_secret_in_the_environment_and_on_the_command_line():
    wanted = {"a": secrets.token_hex(16).encode(), "b": secrets.token_hex(16).encode()}
    waiting = "print('ready', flush=True); input()"
    process = running(waiting, wanted["b"].decode(), SECRET=wanted["a"].decode())
    try:
        found = {(find.what, find.where) for find in search_process(process.pid, wanted)}
    finally:
        process.communicate("\n", timeout=20)
    assert {("a", "environ"), ("b", "cmdline")} <= found


def test_a_process_that_signs_by_way_of_the_signer_holds_no_key(asked, keys):
    web = running(
        WEB,
        world.FINANCE,
        DJANGO_SETTINGS_MODULE="treasury.settings.dev",
        DATABASE_URL=database_dsn(),
        GUOKU_SIGNER_SOCKET=str(asked.socket),
    )
    wanted = keys_below(keys)
    try:
        found = search_process(web.pid, wanted)
        looked_at = bytes_readable(web.pid)
        opened = [os.readlink(f) for f in Path(f"/proc/{web.pid}/fd").iterdir()]
    finally:
        web.communicate("\n", timeout=20)
    assert found == []
    assert len(wanted) >= 50 and looked_at > 20_000_000  # the search was for something, and through something
    assert not [path for path in opened if str(keys) in path]


def test_the_signer_is_told_where_the_keys_are_and_the_others_are_not(asked):
    environment = Path(f"/proc/{asked.pid}/environ").read_bytes()
    assert b"GUOKU_KEY_DIR" in environment
    assert not hasattr(base, "GUOKU_KEY_DIR") and not hasattr(dev, "GUOKU_KEY_DIR")
