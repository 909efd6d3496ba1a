"""Tokens: six tries that no restart gives back, keys that only the PIN opens, certificates only for their own key."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seals.certificates import parse_certificate
from seals.pki import parse_csr
from tests.ukey import officers
from tests.ukey.officers import PIN
from ukey_agent import tokens as token_module
from ukey_agent.errors import (
    CertificateNotOurs,
    NoCertificate,
    NoToken,
    PinLocked,
    PinMalformed,
    PinWrong,
    TokenExists,
    TokenUnusable,
)
from ukey_agent.software import SoftwareToken
from ukey_agent.store import TokenStore

DATA = b"GUOKU-STATEMENT-V1\0{}"
WRONG = "280615"


def state(officer: officers.Officer) -> Any:
    return json.loads(officer.token.path.read_text())


def tries(officer: officers.Officer) -> int:
    return officer.token.info().tries_left


# PIN -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite_id", ["sm2-sm3", "ecdsa-p256-sha256"])
def test_a_right_pin_signs_with_the_suite_of_the_certificate(tokens, authority, suite_id) -> None:
    officer = officers.with_software_token(tokens, authority, "zhao", "赵明", suite_id)

    signature = officer.token.sign(PIN, DATA)

    assert officer.certificate.suite_id == suite_id
    assert officer.verify(DATA, signature) and not officer.verify(DATA + b".", signature)


def test_a_wrong_pin_signs_nothing_and_says_how_many_tries_are_left(wang) -> None:
    for left in (5, 4, 3, 2, 1):
        with pytest.raises(PinWrong) as refusal:
            wang.token.sign(WRONG, DATA)
        assert refusal.value.facts == {"tries_left": left} and tries(wang) == left


def test_the_sixth_wrong_pin_locks_and_the_right_one_comes_too_late(wang) -> None:
    for _ in range(5):
        with pytest.raises(PinWrong):
            wang.token.sign(WRONG, DATA)
    with pytest.raises(PinLocked):
        wang.token.sign(WRONG, DATA)

    for verb in (
        lambda: wang.token.sign(PIN, DATA),
        lambda: wang.token.change_pin(PIN, "999999"),
        lambda: wang.token.generate_key(PIN, "sm2-sm3"),
    ):
        with pytest.raises(PinLocked):
            verb()
    assert tries(wang) == 0


def test_a_right_pin_gives_the_tries_back(wang) -> None:
    for _ in range(5):
        with pytest.raises(PinWrong):
            wang.token.sign(WRONG, DATA)
    wang.token.sign(PIN, DATA)
    assert tries(wang) == 6


@pytest.mark.parametrize(
    "pin", ["", "12345", "1" * 33, "12345 6", "１２３４５６", "12345\n", "123456\n", "密码密码密码"]
)
def test_what_is_no_pin_costs_no_try(wang, pin) -> None:
    with pytest.raises(PinMalformed):
        wang.token.sign(pin, DATA)
    assert tries(wang) == 6


def test_tries_are_counted_across_verbs(wang) -> None:
    with pytest.raises(PinWrong):
        wang.token.sign(WRONG, DATA)
    with pytest.raises(PinWrong):
        wang.token.change_pin(WRONG, "999999")
    with pytest.raises(PinWrong) as refusal:
        wang.token.generate_key(WRONG, "sm2-sm3")
    assert refusal.value.facts == {"tries_left": 3}


KILLED_AT_THE_CHECK = """
import os, signal, sys
from pathlib import Path
from ukey_agent import software
software._derive = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
software.SoftwareToken(Path(sys.argv[1]), "wang").sign(sys.argv[2], b"x")
"""


def test_killing_the_program_between_count_and_check_costs_a_try(wang, tokens) -> None:
    for left in (5, 4, 3, 2, 1, 0):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED_AT_THE_CHECK, str(tokens), PIN], cwd=Path(__file__).parents[2], check=False
        )
        assert killed.returncode == -signal.SIGKILL
        assert tries(wang) == left
    with pytest.raises(PinLocked):
        wang.token.sign(PIN, DATA)


def test_the_count_is_on_the_disk_before_the_pin_is_looked_at(wang, monkeypatch) -> None:
    order: list[str] = []
    write = token_module.write_durably
    monkeypatch.setattr(token_module, "write_durably", lambda *a: (order.append("counted"), write(*a)))
    unlock = SoftwareToken._unlock

    def look(self: SoftwareToken, *rest: Any) -> Any:
        order.append("looked")
        assert state(wang)["failed_tries"] == 1
        return unlock(self, *rest)

    monkeypatch.setattr(SoftwareToken, "_unlock", look)
    wang.token.sign(PIN, DATA)
    assert order == ["counted", "looked", "counted"] and state(wang)["failed_tries"] == 0


def test_the_disk_is_told_to_keep_the_count(wang, monkeypatch) -> None:
    flushed: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (flushed.append(handle), fsync(handle)))
    with pytest.raises(PinWrong):
        wang.token.sign(WRONG, DATA)
    assert len(flushed) == 2  # the file, and the folder with its name


def test_eight_wrong_pins_at_once_are_six_tries(wang) -> None:
    outcomes: list[type] = []

    def attempt() -> None:
        try:
            wang.token.sign(WRONG, DATA)
        except (PinWrong, PinLocked) as refusal:
            outcomes.append(type(refusal))

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kind.__name__ for kind in outcomes) == ["PinLocked"] * 3 + ["PinWrong"] * 5


def test_a_new_pin_opens_and_the_old_one_no_longer_does(wang) -> None:
    before = wang.certificate
    wang.token.change_pin(PIN, "Abc!98765")

    assert wang.verify(DATA, wang.token.sign("Abc!98765", DATA)) and wang.certificate == before
    with pytest.raises(PinWrong):
        wang.token.sign(PIN, DATA)


def test_a_new_pin_that_is_none_leaves_the_old_one(wang) -> None:
    with pytest.raises(PinMalformed):
        wang.token.change_pin(PIN, "123")
    assert wang.token.sign(PIN, DATA) and tries(wang) == 6


# The file ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606, 0o644, 0o620])
def test_a_file_open_to_others_is_not_used(wang, mode) -> None:
    wang.token.path.chmod(mode)
    with pytest.raises(TokenUnusable):
        wang.token.sign(PIN, DATA)
    (shown,) = TokenStore(wang.token.path.parent).infos()
    assert "0600" in shown.problem and shown.certificate_serial == ""


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_others_may_write_to_is_not_used(tokens, mode) -> None:
    tokens.chmod(mode)
    with pytest.raises(TokenUnusable):
        TokenStore(tokens)


def test_a_link_to_a_file_elsewhere_is_not_followed(wang, tokens, tmp_path) -> None:
    elsewhere = wang.token.path.rename(tmp_path / "elsewhere.json")
    wang.token.path.symlink_to(elsewhere)
    with pytest.raises(TokenUnusable):
        wang.token.sign(PIN, DATA)


def test_every_file_is_its_owners_alone(wang, tokens) -> None:
    wang.token.sign(PIN, DATA)
    assert {path.stat().st_mode & 0o777 for path in tokens.iterdir()} == {0o600}
    assert {path.name for path in tokens.iterdir()} == {"wang.json", ".wang.json.lock"}  # and no draft stays behind


def test_neither_the_pin_nor_the_key_is_in_the_file(wang) -> None:
    text = wang.token.path.read_text()
    assert PIN not in text and "PRIVATE" not in text
    assert set(state(wang)["keys"]["current"]) == {"suite", "spki", "nonce", "sealed", "certificate"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s.pop("failed_tries"),
        lambda s: s.update(failed_tries="0"),
        lambda s: s.update(failed_tries=None),
        lambda s: s.update(format="guoku-token/9"),
        lambda s: s.update(driver="pkcs11"),
        lambda s: s.update(keys=[]),
        lambda s: s.update(holder=7),
        lambda s: s.pop("check"),
        lambda s: s.update(salt="no hexadecimal"),
        lambda s: s["keys"]["current"].update(spki="00"),
    ],
)
def test_a_damaged_file_signs_nothing_and_breaks_nothing(wang, damage) -> None:
    changed = state(wang)
    damage(changed)
    wang.token.path.write_text(json.dumps(changed))
    with pytest.raises(TokenUnusable):
        wang.token.sign(PIN, DATA)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "7"])
def test_a_file_that_is_no_token_is_shown_as_unusable(tokens, text) -> None:
    path = tokens / "broken.json"
    path.write_text(text)
    path.chmod(0o600)
    (shown,) = TokenStore(tokens).infos()
    assert (shown.label, shown.problem) == ("broken", "UKey 文件已损坏。")


def test_a_sealed_key_opens_under_no_other_label(wang, tokens) -> None:
    copy = tokens / "li.json"
    copy.write_text(wang.token.path.read_text())
    copy.chmod(0o600)
    with pytest.raises(PinWrong):
        SoftwareToken(tokens, "li").sign(PIN, DATA)


def test_a_key_of_another_token_in_the_file_is_not_used(wang, tokens, authority) -> None:
    other = officers.with_software_token(tokens, authority, "li", "李青")
    changed = state(wang)
    changed["keys"] = state(other)["keys"]
    wang.token.path.write_text(json.dumps(changed))
    with pytest.raises(TokenUnusable):
        wang.token.sign(PIN, DATA)


@pytest.mark.parametrize(
    "label", ["", ".", "..", "../wang", "a/b", "a\\b", ".hidden", "a" * 41, "a b", "a\0", "wang\n"]
)
def test_a_label_that_is_no_file_name_is_refused(tokens, label) -> None:
    with pytest.raises(TokenUnusable):
        SoftwareToken.create(tokens, label, "王知远", PIN)
    with pytest.raises(NoToken):
        TokenStore(tokens).get(label)
    assert list(tokens.iterdir()) == []


def test_a_second_token_of_one_label_is_refused_and_the_first_stays(wang, tokens) -> None:
    before = wang.token.path.read_text()
    with pytest.raises(TokenExists):
        SoftwareToken.create(tokens, "wang", "王知远", PIN)
    assert wang.token.path.read_text() == before


@pytest.mark.parametrize("holder", ["", "  ", "王\n知远", "王" * 61])
def test_a_token_needs_a_holder(tokens, holder) -> None:
    with pytest.raises(TokenUnusable):
        SoftwareToken.create(tokens, "wang", holder, PIN)
    assert not (tokens / "wang.json").exists()


def test_a_suite_no_software_token_has_is_refused(tokens) -> None:
    with pytest.raises(TokenUnusable):
        SoftwareToken.create(tokens, "wang", "王知远", PIN, "rsa-sha1")
    assert list(tokens.iterdir()) == []


# Keys and certificates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite_id", ["sm2-sm3", "ecdsa-p256-sha256"])
def test_a_request_names_the_holder_and_is_signed_with_the_new_key(tokens, suite_id) -> None:
    _, csr = SoftwareToken.create(tokens, "zhao", "赵明", PIN, suite_id)
    read = parse_csr(csr.encode())  # which refuses a signature that does not hold
    assert (read.subject, read.suite_id) == ("CN=赵明,C=CN", suite_id)


def test_a_token_without_a_certificate_signs_nothing(tokens) -> None:
    token, _ = SoftwareToken.create(tokens, "zhao", "赵明", PIN)
    with pytest.raises(NoCertificate):
        token.sign(PIN, DATA)
    assert token.info().awaits_certificate and token.info().certificate_serial == ""


def test_the_key_in_use_stays_until_the_new_one_has_its_certificate(wang, authority) -> None:
    first = wang.certificate
    csr = wang.token.generate_key(PIN, "ecdsa-p256-sha256")
    assert wang.certificate == first and wang.verify(DATA, wang.token.sign(PIN, DATA))
    assert wang.token.info().awaits_certificate

    wang.token.install_certificate(authority.certify(csr))

    assert wang.certificate.suite_id == "ecdsa-p256-sha256" and wang.certificate != first
    assert wang.verify(DATA, wang.token.sign(PIN, DATA)) and not wang.token.info().awaits_certificate


def test_a_new_pin_opens_the_key_in_wait_as_well(wang, authority) -> None:
    csr = wang.token.generate_key(PIN, "sm2-sm3")
    wang.token.change_pin(PIN, "999999")
    wang.token.install_certificate(authority.certify(csr))
    assert wang.verify(DATA, wang.token.sign("999999", DATA))


def test_the_key_in_use_may_get_a_new_certificate(wang, authority, tokens) -> None:
    token, csr = SoftwareToken.create(tokens, "li", "李青", PIN)
    token.install_certificate(authority.certify(csr))
    longer = authority.certify(csr, end=datetime.now(UTC) + timedelta(days=3000))
    token.install_certificate(longer)
    assert token.certificate() == parse_certificate(longer)


def test_a_certificate_of_another_key_is_not_installed(wang, authority, tokens) -> None:
    before = wang.certificate
    _, csr = SoftwareToken.create(tokens, "li", "李青", PIN)
    with pytest.raises(CertificateNotOurs):
        wang.token.install_certificate(authority.certify(csr))
    assert wang.certificate == before


@pytest.mark.parametrize("kind", [{"usage": officers.ENCIPHERING}, {"usage": officers.CERTIFYING, "authority": True}])
def test_only_a_signing_certificate_is_installed(tokens, authority, kind) -> None:
    token, csr = SoftwareToken.create(tokens, "li", "李青", PIN)
    with pytest.raises(CertificateNotOurs):
        token.install_certificate(authority.certify(csr, **kind))
    assert token.info().certificate_serial == ""


def test_what_is_shown_without_a_pin_holds_no_secret(wang, tokens) -> None:
    (shown,) = TokenStore(tokens).infos()
    assert (shown.label, shown.holder, shown.tries_left, shown.suite_id) == ("wang", "王知远", 6, "sm2-sm3")
    assert shown.certificate_serial == wang.serial
    current = state(wang)["keys"]["current"]
    assert not any(secret in repr(shown) for secret in (current["sealed"], state(wang)["salt"], PIN))


def test_the_token_is_found_by_serial_and_certificate_together(wang, tokens) -> None:
    store, sm3 = TokenStore(tokens), wang.token.info().certificate_sm3
    assert store.with_certificate(wang.serial, sm3)[1].label == "wang"
    for serial, digest in ((wang.serial, "0" * 64), ("00", sm3), ("", ""), (wang.serial, "")):
        with pytest.raises(NoToken):
            store.with_certificate(serial, digest)
