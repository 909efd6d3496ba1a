"""Our SM2 vectors, judged by three implementations that know nothing of each other. See docs/test-vectors.md."""

import json
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from gmalg import SM2

from seals import der
from seals.suites import get_suite
from seals.suites.sm2 import DEFAULT_USER_ID, Sm2Sm3

OPENSSL = shutil.which("openssl")
FILE = Path(__file__).parent / "vectors" / "sm2_sm3_verify.json"
VECTORS = json.loads(FILE.read_text())
CASES = [(group, test) for group in VECTORS["testGroups"] for test in group["tests"]]
NAMES = [f"{test['tcId']}: {test['comment']}" for _group, test in CASES]


@cache
def suite_for(user_id):
    return get_suite("sm2-sm3") if user_id == DEFAULT_USER_ID else Sm2Sm3(user_id)


def pair(signature):
    """r and s if the signature is DER and 32 bytes hold each of them, else None: other forms need no arithmetic."""
    try:
        raw = der.signature_to_raw(signature)
    except (ValueError, OverflowError):
        return None
    return raw if der.signature_from_raw(raw) == signature else None


@pytest.mark.parametrize(("group", "case"), CASES, ids=NAMES)
def test_our_suite_gives_the_verdict_of_the_file(group, case):
    suite = suite_for(bytes.fromhex(group["userId"]))
    key = suite.load_public_key(bytes.fromhex(group["keyDer"]))

    verdict = suite.verify(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))

    assert verdict is (case["result"] == "valid")


@pytest.mark.parametrize(
    "group", [g for g in VECTORS["testGroups"] if g["userId"]], ids=lambda group: group["tests"][0]["comment"]
)
def test_pure_python_implementation_gives_the_same_verdict(group):
    """gmalg, on every case it can be handed: it takes r and s, not their encoding, and no empty user id."""
    point = bytes.fromhex(group["key"]["uncompressed"])
    oracle, judged = SM2(pk=point, uid=bytes.fromhex(group["userId"])), 0
    for case in group["tests"]:
        raw = pair(bytes.fromhex(case["sig"]))
        if raw is None:
            assert case["result"] == "invalid"
            continue
        judged += 1
        assert oracle.verify(bytes.fromhex(case["msg"]), raw[:32], raw[32:]) is (case["result"] == "valid"), case
    assert judged


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl command on this machine")
@pytest.mark.parametrize(("group", "case"), CASES[::7], ids=NAMES[::7])
def test_openssl_command_gives_the_same_verdict(tmp_path, group, case):
    key, text, signature = (tmp_path / name for name in ("key.pem", "text", "signature"))
    key.write_text(group["keyPem"])
    text.write_bytes(bytes.fromhex(case["msg"]))
    signature.write_bytes(bytes.fromhex(case["sig"]))
    command = [OPENSSL, "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-digest", "sm3", "-in", text]
    command += ["-sigfile", signature, "-pkeyopt", f"hexdistid:{group['userId']}"]
    answer = subprocess.run(command, capture_output=True, check=False)
    assert (answer.returncode == 0) is (case["result"] == "valid"), answer.stderr


def test_file_is_whole():
    counted = Counter(case["result"] for _group, case in CASES)

    assert [case["tcId"] for _group, case in CASES] == list(range(1, VECTORS["numberOfTests"] + 1))
    assert counted == {"valid": 55, "invalid": 229}
    assert {flag for _group, case in CASES for flag in case["flags"]} == set(VECTORS["notes"])
    assert len({(g["keyDer"], g["userId"], c["msg"], c["sig"]) for g, c in CASES}) == len(CASES)
    for group in VECTORS["testGroups"]:
        assert group["keyDer"].endswith(group["key"]["wx"] + group["key"]["wy"])
        assert group["key"]["uncompressed"] == "04" + group["key"]["wx"] + group["key"]["wy"]
        assert der.pem("PUBLIC KEY", bytes.fromhex(group["keyDer"])).decode() == group["keyPem"]
