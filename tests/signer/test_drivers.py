"""Where keys lie: files of this machine and PKCS#11 devices, behind one shape. SoftHSM2 stands for the device."""

import dataclasses
import json
import os
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from seals.certificates import Issuer, parse_certificate
from seals.errors import KeyNotUsable, NoSigningKey
from seals.pki import (
    OrganisationSpec,
    _extensions,
    _name,
    build_certificate,
    issue_certificate,
    load_issuer,
    make_demo_pki,
)
from seals.suites import SPKI_HEAD, get_suite
from signer import keystore
from signer.drivers.pkcs11 import DeviceKey, _digest
from tests.signer.device import MODULE, PIN, needs_device
from tests.signer.memory import needles

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki")
    make_demo_pki(directory, [OrganisationSpec("FILE-SM2", "甲", "sm2-sm3")], START, END)
    make_demo_pki(directory, [OrganisationSpec("FILE-P256", "乙", "ecdsa-p256-sha256")], START, END)
    return directory


def in_device(pki, settings, monkeypatch, token, name, label, suite_id, **more):
    """A key folder whose private key is in the token."""
    settings.GUOKU_KEY_DIR = pki
    monkeypatch.setenv("GUOKU_PKCS11_PIN", PIN)
    certificate = issue_certificate(
        load_issuer(pki, suite_id),
        subject_common_name="丙",
        unit=name,
        spki=token[label],
        not_before=START,
        not_after=END,
    )
    folder = pki / name
    folder.mkdir(exist_ok=True)
    (folder / "cert.pem").write_text(parse_certificate(certificate).pem)
    facts = {"module": MODULE, "token_label": "guoku", "key_label": label} | more
    (folder / "pkcs11.json").write_text(json.dumps(facts))
    return keystore.private_key_for(name)


# Files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["FILE-SM2", "FILE-P256"])
def test_a_key_in_a_file_signs_under_its_certificate(pki, settings, code):
    settings.GUOKU_KEY_DIR = pki
    key = keystore.private_key_for(code)
    suite = get_suite(key.certificate.suite_id)
    assert suite.verify(key.certificate.public_key, b"text", key.sign(b"text"))
    assert not suite.verify(key.certificate.public_key, b"texT", key.sign(b"text"))


def test_a_key_is_found_by_its_certificate_in_whichever_folder(pki, settings):
    settings.GUOKU_KEY_DIR = pki
    certificate = parse_certificate((pki / "FILE-P256" / "cert.pem").read_bytes())
    assert keystore.key_of(certificate) is keystore.private_key_for("FILE-P256")
    authority = parse_certificate((pki / "ca" / "sm2-sm3" / "cert.pem").read_bytes())
    with pytest.raises(NoSigningKey):
        keystore.key_of(authority)  # authorities sign certificates, and nothing by way of a seal


def test_a_key_that_others_may_read_or_that_is_anothers_is_not_used(pki, settings, tmp_path):
    settings.GUOKU_KEY_DIR = tmp_path
    for name, mode, other in (("OPEN", 0o604, ""), ("MIXED", 0o600, "FILE-P256")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "cert.pem").write_bytes((pki / "FILE-SM2" / "cert.pem").read_bytes())
        (folder / "key.pem").write_bytes((pki / (other or "FILE-SM2") / "key.pem").read_bytes())
        (folder / "key.pem").chmod(mode)
        with pytest.raises(KeyNotUsable):
            keystore.private_key_for(name)


def test_an_encrypted_key_opens_with_its_password_alone(settings, tmp_path):
    make_demo_pki(tmp_path, [OrganisationSpec("SHUT", "丁", "sm2-sm3")], START, END, password=b"right")
    settings.GUOKU_KEY_DIR = tmp_path
    for password in ("", "wrong"):
        settings.GUOKU_KEY_PASSWORD = password
        with pytest.raises(KeyNotUsable):
            keystore.private_key_for("SHUT")
    settings.GUOKU_KEY_PASSWORD = "right"
    assert keystore.private_key_for("SHUT").sign(b"text")


def test_no_folder_name_leads_out_of_the_key_directory(pki, settings):
    settings.GUOKU_KEY_DIR = pki
    for code in ("", ".", "..", "../x", "ca", "ca/sm2-sm3", "/etc", "NOBODY"):
        with pytest.raises(NoSigningKey):
            keystore.private_key_for(code)


# Devices ------------------------------------------------------------------------------------------------------------


@needs_device
def test_a_key_in_the_device_signs_under_its_certificate(pki, settings, monkeypatch, token):
    key = in_device(pki, settings, monkeypatch, token, "HSM-P256", "p256", "ecdsa-p256-sha256")
    suite = get_suite("ecdsa-p256-sha256")
    assert isinstance(key, DeviceKey)
    for number in range(20):  # r and s of every length
        text = b"text %d" % number
        assert suite.verify(key.certificate.public_key, text, key.sign(text))
    assert not suite.verify(key.certificate.public_key, b"texT", key.sign(b"text"))


@needs_device
def test_a_device_that_answers_with_another_algorithm_is_found_out(pki, settings, monkeypatch, token):
    """SoftHSM2 has a key on the SM2 curve and signs with it by ECDSA: no SM2 signature."""
    key = in_device(pki, settings, monkeypatch, token, "HSM-SM2", "sm2", "sm2-sm3", mechanism=0x1041)
    with pytest.raises(KeyNotUsable, match="不能用证书验证"):
        key.sign(b"text")


@needs_device
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"key_label": "other"}, "没有签名"),
        ({"token_label": "other"}, "没有签名"),
        ({"mechanism": 0x80000101}, "没有签名"),
    ],
)
def test_a_device_without_the_key_or_the_mechanism_signs_nothing(pki, settings, monkeypatch, token, more, said):
    name = f"HSM-{abs(hash(str(more))) % 10000}"
    key = in_device(pki, settings, monkeypatch, token, name, "p256", "ecdsa-p256-sha256", **more)
    with pytest.raises(KeyNotUsable, match=said):
        key.sign(b"text")


@needs_device
def test_without_its_pin_a_device_is_not_used(pki, settings, monkeypatch, token):
    with pytest.raises(KeyNotUsable, match="PIN"):
        in_device(
            pki, settings, monkeypatch, token, "HSM-PIN", "p256", "ecdsa-p256-sha256", pin_variable="NOT_SET_HERE"
        )


def test_an_sm2_key_in_a_device_needs_the_makers_mechanism(pki, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("GUOKU_PKCS11_PIN", PIN)
    folder = tmp_path / "HSM"
    folder.mkdir()
    (folder / "cert.pem").write_bytes((pki / "FILE-SM2" / "cert.pem").read_bytes())
    settings.GUOKU_KEY_DIR = tmp_path
    for facts, said in (
        ({"module": "m", "token_label": "t", "key_label": "k"}, "机制号"),
        ({"module": "m", "token_label": "t", "mechanism": 1}, "不完整"),
        ({"module": "m", "token_label": "t", "key_label": "k", "mechanism": 1, "pin_variable": "NONE"}, "不完整"),
    ):
        (folder / "pkcs11.json").write_text(json.dumps(facts))
        os.utime(folder / "pkcs11.json", ns=(1, hash(said) % 10**9))
        with pytest.raises(KeyNotUsable, match=said):
            keystore.private_key_for("HSM")


def test_an_sm2_device_is_given_the_digest_of_the_standard():
    """The example of GB/T 32918.5, annex A.2: e = SM3(Z ‖ "message digest")."""
    key = get_suite("sm2-sm3").generate_private_key()
    point = bytes.fromhex(
        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
        "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
    )
    certificate = parse_certificate(_self_made(key))
    example = dataclasses.replace(certificate, spki=SPKI_HEAD["sm2-sm3"] + point)
    assert _digest(example, b"message digest").hex() == (
        "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
    )


def _self_made(key):
    issuer = Issuer(_name("x", "y"), key.spki, key)
    return build_certificate(
        issuer, issuer.name, key.spki, START, END, _extensions(key.spki, issuer, {0}, authority=False)
    )


def test_the_memory_walks_needles_are_the_keys_own(pki):
    found = needles((pki / "FILE-P256" / "key.pem").read_bytes())
    number = load_pem_private_key((pki / "FILE-P256" / "key.pem").read_bytes(), None).private_numbers().private_value
    assert found["number, most significant first"] == number.to_bytes(32)
