"""The verifier's own mathematics against three others: the vectors, the openssl command, and the project's suites."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from core.digests import sm3
from core.merkle import inclusion_path, leaf_hash, root_of
from seals import der
from seals.pki import make_bad_certificates
from seals.suites import get_suite
from tests.verifier import bundles
from tests.verifier.bundles import world
from verifier import guoku_verify
from verifier.guoku_verify import OPENSSL, Refused, read_key, verify_signature

VECTORS = bundles.ROOT / "tests" / "seals" / "vectors" / "sm2_sm3_verify.json"
DEFAULT_ID = b"1234567812345678".hex()
SUITES = {"sm2-sm3": "sm3", "ecdsa-p256-sha256": "sha256"}


@pytest.fixture(params=["openssl", "own"])
def engine(request, monkeypatch):
    """Both ways of checking an elliptic signature."""
    monkeypatch.setattr(OPENSSL, "allowed", request.param == "openssl")
    return request.param


def test_sm2_agrees_with_every_vector(engine):
    if not VECTORS.exists():
        pytest.skip("no vectors here")
    groups = json.loads(VECTORS.read_text("utf-8"))["testGroups"]
    checked = wrong = 0
    for group in groups:
        if group.get("userId", DEFAULT_ID) != DEFAULT_ID:
            continue
        spki = bytes.fromhex(group["keyDer"])
        for case in group["tests"]:
            try:
                holds = verify_signature(read_key(spki), "sm3", bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            except Refused:
                holds = False
            checked += 1
            wrong += holds != (case["result"] == "valid")
    assert checked > 200 and wrong == 0


@pytest.mark.parametrize("suite_id", SUITES)
def test_signatures_of_the_suites_hold_and_changed_ones_do_not(engine, suite_id):
    suite, pick = get_suite(suite_id), random.Random(7)
    for _ in range(6):
        private = suite.generate_private_key()
        key, text = read_key(private.spki), pick.randbytes(pick.randrange(200))
        signature = suite.sign(private, text)
        r, s = guoku_verify._numbers(signature)
        order = guoku_verify.CURVES[key.kind].n
        assert verify_signature(key, SUITES[suite_id], text, signature)
        for bad in (
            signature + b"\0", signature[:-1], b"", bytes(64), guoku_verify.der_pair(s, r),
            guoku_verify.der_pair(r, (s + 1) % order), guoku_verify.der_pair(r + order, s),
            signature.replace(b"\x02", b"\x03", 1),
        ):  # fmt: skip
            assert not verify_signature(key, SUITES[suite_id], text, bad)
            assert not suite.verify(suite.public_key_of(private), text, bad)
        assert not verify_signature(key, SUITES[suite_id], text + b".", signature)
        assert not verify_signature(key, "sha256" if key.kind == "sm2" else "sm3", text, signature)


def test_own_arithmetic_and_openssl_agree_on_many_changed_signatures(monkeypatch):
    suite, pick = get_suite("sm2-sm3"), random.Random(11)
    private = suite.generate_private_key()
    key, text = read_key(private.spki), b"text"
    signature = suite.sign(private, text)
    for _ in range(60):
        position = pick.randrange(len(signature))
        changed = signature[:position] + bytes([pick.randrange(256)]) + signature[position + 1 :]
        answers = []
        for allowed in (True, False):
            monkeypatch.setattr(OPENSSL, "allowed", allowed)
            answers.append(verify_signature(key, "sm3", text, changed))
        assert answers[0] == answers[1] == (changed == signature)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
@pytest.mark.parametrize("suite_id", SUITES)
def test_the_openssl_command_says_the_same(tmp_path, suite_id):
    suite = get_suite(suite_id)
    private = suite.generate_private_key()
    key, text = read_key(private.spki), b"a text of some length"
    signature = suite.sign(private, text)
    (tmp_path / "key.pem").write_bytes(der.pem("PUBLIC KEY", private.spki))
    for data, value in (
        (text, signature),
        (text + b"!", signature),
        (text, signature[:-1] + bytes([signature[-1] ^ 1])),
    ):
        (tmp_path / "data").write_bytes(data)
        (tmp_path / "sig").write_bytes(value)
        options = ["-rawin", "-digest", SUITES[suite_id]]
        if suite_id == "sm2-sm3":
            options += ["-pkeyopt", "distid:1234567812345678"]
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-in", "data", "-sigfile", "sig"]
        run = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, check=False)
        assert (run.returncode == 0) == verify_signature(key, SUITES[suite_id], data, value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
def test_chains_are_judged_as_openssl_judges_them(tmp_path):
    """Good and bad certificates of the demo PKI, by name; what openssl accepts we accept, and nothing else."""
    it = world()
    directory = tmp_path / "copy"
    shutil.copytree(it.directory / "pki", directory)
    bad = make_bad_certificates(directory)
    root, sub = (directory / "ca" / "sm2-sm3" / path for path in ("cert.pem", "sub/cert.pem"))
    store = guoku_verify.Authorities(guoku_verify.instant(bundles.AT))
    read = lambda path: guoku_verify.read_certificate(guoku_verify.pem_blocks(path.read_bytes(), "CERTIFICATE")[0])  # noqa: E731
    store.trusted, store.pool = [read(root)], [read(sub)]
    lists = [directory / "ca" / "sm2-sm3" / path for path in ("crl.der", "sub/crl.der")]
    store.lists = [guoku_verify.read_revocation_list(path.read_bytes(), path.name) for path in lists]
    at = guoku_verify.instant(bundles.AT)
    told = {}
    for name, parsed in {**bad, "finance": it.finance.certificate, "maker": it.maker.certificate}.items():
        (tmp_path / "c.pem").write_bytes(der.pem("CERTIFICATE", parsed.der))
        command = ["openssl", "verify", "-partial_chain", "-CAfile", sub, "-vfyopt", "distid:1234567812345678"]
        command += ["-attime", str(int(at.timestamp())), "c.pem"]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        ours = store.judge(guoku_verify.read_certificate(parsed.der), at)
        told[name] = (run.returncode == 0, ours.state == 0, ours.sub)

    assert told["finance"] == told["maker"] == (True, True, "")
    # openssl is asked for no usage here; it remembers the SM2 user id for the leaf only, so that its chain ends at the
    # sub-authority and revocation lists stay unread.
    stricter = {"wrong-usage", "authority-as-leaf", "revoked"}
    for name, (theirs, ours, _sub) in told.items():
        assert ours <= theirs, name
        assert ours == theirs or name in stricter, (name, told[name])
    subs = {name: sub for name, (_t, _o, sub) in told.items()}
    assert subs["expired"] == "EXPIRED" and subs["not-yet-valid"] == "NOT_YET_VALID" and subs["revoked"] == "REVOKED"
    assert subs["namesake"] == subs["unknown-critical"] == "CHAIN_CONSTRAINTS_FAILURE"
    assert subs["wrong-usage"] == "SIG_CONSTRAINTS_FAILURE"


def test_sm3_in_python_gives_what_openssl_gives():
    assert guoku_verify._sm3_words(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    for length in [*range(0, 130), 1000]:
        data = random.Random(length).randbytes(length)
        assert guoku_verify._sm3_words(data) == sm3(data) == guoku_verify.sm3(data)


@pytest.mark.parametrize(("bits", "digest"), [(2048, hashes.SHA256()), (2048, hashes.SHA512()), (1024, hashes.SHA1())])
def test_rsa_signatures_are_checked_whole_and_short_keys_are_marked(bits, digest):
    private = rsa.generate_private_key(65537, bits)
    spki = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key, name = read_key(spki), digest.name
    signature = private.sign(b"text", padding.PKCS1v15(), digest)

    assert verify_signature(key, name, b"text", signature) and key.weak == (bits < 2048)
    assert not verify_signature(key, name, b"text.", signature)
    assert not verify_signature(key, name, b"text", b"\0" + signature)
    assert not verify_signature(key, "sm3", b"text", signature)


@pytest.mark.parametrize(
    "spki",
    [
        guoku_verify.SPKI_HEAD["sm2"] + bytes(64),
        guoku_verify.SPKI_HEAD["sm2"] + b"\xff" * 64,
        guoku_verify.SPKI_HEAD["p256"] + bytes(63) + b"\1",
        guoku_verify.SPKI_HEAD["sm2"] + bytes(63),
        b"",
        b"\x30\x80\0\0",
    ],
)
def test_a_key_that_is_no_point_is_refused(spki):
    with pytest.raises(Refused):
        read_key(spki)


def test_inclusion_paths_lead_to_the_roots_of_the_project():
    for size in range(1, 18):
        leaves = [leaf_hash(bytes([n])) for n in range(size)]
        assert guoku_verify.root_of(leaves) == root_of(leaves)
        for index in range(size):
            path = inclusion_path(leaves, index)
            assert guoku_verify.root_by_path(leaves[index], index, size, path) == root_of(leaves)
            assert guoku_verify.root_by_path(leaves[index], index, size, [*path, leaves[0]]) is None
            assert guoku_verify.root_by_path(leaves[index], size, size, path) is None


def test_the_program_is_one_file_of_the_standard_library():
    import ast
    import sys

    tree = ast.parse(Path(guoku_verify.__file__).read_text("utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
