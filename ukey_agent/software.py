"""A token in a file: the private key sealed with AES-256-GCM under a key that scrypt derives from the PIN.

For demonstrations and tests. Six tries protect it only while nobody copies the file: whoever has a copy can try PINs
at leisure (about 10^6 PINs of six digits, some 0.1 s each), which is what a device is for.
"""

import hashlib
import secrets
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seals.suites import get_suite
from ukey_agent.errors import TokenUnusable
from ukey_agent.tokens import FileToken, WrongPin, check_pin

SUITES = ("sm2-sm3", "ecdsa-p256-sha256")
_COST = {"n": 1 << 15, "r": 8, "p": 1}  # 32 MiB of memory for each PIN tried
_MOST_MEMORY = 64 << 20


class SoftwareToken(FileToken):
    """`keys` hold {"suite", "spki", "nonce", "sealed"}; what is sealed is the PKCS#8 PEM."""

    driver = "software"

    @classmethod
    def create(
        cls, folder: Path, label: str, holder: str, pin: str, suite_id: str = "sm2-sm3"
    ) -> tuple["SoftwareToken", str]:
        """A new token with a key in wait for its certificate: the token and the key's request (PEM).

        :raises TokenExists, PinMalformed, TokenUnusable: and nothing is made.
        """
        check_pin(pin)
        if suite_id not in SUITES:
            raise TokenUnusable("软件 UKey 不支持该密码套件。")
        token = cls(folder, label)
        token._create(holder, **token._new_lock(pin)[1])
        return token, token.generate_key(pin, suite_id)

    def _unlock(self, state: dict[str, Any], pin: str) -> AESGCM:
        try:
            nonce, sealed = bytes.fromhex(state["check"]["nonce"]), bytes.fromhex(state["check"]["sealed"])
            opened = AESGCM(_derive(pin, state["salt"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TokenUnusable("UKey 文件已损坏。") from error
        try:
            opened.decrypt(nonce, sealed, self._lock_aad())
        except (InvalidTag, ValueError) as error:
            raise WrongPin from error
        return opened

    def _sign(self, opened: AESGCM, key: dict[str, Any], data: bytes) -> bytes:
        suite = get_suite(key["suite"])
        return suite.sign(suite.load_private_key(self._unseal(opened, key)), data)

    def _make_key(self, opened: AESGCM, state: dict[str, Any], suite_id: str) -> dict[str, Any]:
        if suite_id not in SUITES:
            raise TokenUnusable("软件 UKey 不支持该密码套件。")
        suite = get_suite(suite_id)
        private = suite.generate_private_key()
        return self._seal(opened, {"suite": suite_id, "spki": private.spki.hex()}, suite.private_key_pem(private))

    def _change_pin(self, opened: AESGCM, state: dict[str, Any], pin: str, new_pin: str) -> None:
        sealing, lock = self._new_lock(new_pin)
        for role, key in state["keys"].items():
            state["keys"][role] = self._seal(sealing, key, self._unseal(opened, key))
        state.update(lock)

    def _new_lock(self, pin: str) -> tuple[AESGCM, dict[str, Any]]:
        """What seals keys under a PIN, and what the file keeps to tell a right PIN from a wrong one."""
        salt, nonce = secrets.token_bytes(16).hex(), secrets.token_bytes(12)
        sealing = AESGCM(_derive(pin, salt))
        sealed = sealing.encrypt(nonce, b"", self._lock_aad()).hex()
        return sealing, {"salt": salt, "check": {"nonce": nonce.hex(), "sealed": sealed}}

    def _seal(self, sealing: AESGCM, key: dict[str, Any], pem: bytes) -> dict[str, Any]:
        nonce = secrets.token_bytes(12)
        sealed = sealing.encrypt(nonce, pem, self._aad(key))
        return key | {"nonce": nonce.hex(), "sealed": sealed.hex()}

    def _unseal(self, opened: AESGCM, key: dict[str, Any]) -> bytes:
        try:
            return opened.decrypt(bytes.fromhex(key["nonce"]), bytes.fromhex(key["sealed"]), self._aad(key))
        except (InvalidTag, KeyError, TypeError, ValueError) as error:
            raise TokenUnusable("UKey 文件已损坏：密钥不能打开。") from error

    def _aad(self, key: dict[str, Any]) -> bytes:
        """Binds a sealed key to its token, suite and public half: it opens nowhere else."""
        return f"{self.label}\n{key['suite']}\n{key['spki']}".encode()

    def _lock_aad(self) -> bytes:
        return f"{self.label}\npin".encode()


def _derive(pin: str, salt: str) -> bytes:
    return hashlib.scrypt(pin.encode("ascii"), salt=bytes.fromhex(salt), dklen=32, maxmem=_MOST_MEMORY, **_COST)
