"""The folder of tokens: each file one token, its driver named inside."""

import json
from pathlib import Path

from ukey_agent.errors import AgentError, NoToken, TokenUnusable
from ukey_agent.files import check_private_folder, read_private
from ukey_agent.pkcs11 import Pkcs11Token
from ukey_agent.software import SoftwareToken
from ukey_agent.tokens import FileToken, Token, TokenInfo, path_of

DRIVERS: dict[str, type[FileToken]] = {kind.driver: kind for kind in (SoftwareToken, Pkcs11Token)}


class TokenStore:
    """The tokens below one folder, read anew at each call: a file may be added while the agent runs."""

    def __init__(self, folder: Path) -> None:
        check_private_folder(folder)
        self.folder = folder

    def get(self, label: str) -> Token:
        """:raises NoToken, TokenUnusable: if there is none, or its file cannot be used."""
        try:
            path = path_of(self.folder, label)
        except TokenUnusable as error:
            raise NoToken("没有这个 UKey。") from error
        if not path.exists():
            raise NoToken("没有这个 UKey。")
        try:
            driver = DRIVERS[json.loads(read_private(path))["driver"]]
        except (ValueError, KeyError, TypeError) as error:
            raise TokenUnusable("UKey 文件已损坏。") from error
        return driver(self.folder, label)

    def infos(self) -> list[TokenInfo]:
        """All tokens, by label; one that cannot be used says why."""
        infos = []
        for path in sorted(self.folder.glob("[!.]*.json")):
            try:
                infos.append(self.get(path.stem).info())
            except AgentError as error:
                infos.append(TokenInfo(label=path.stem, driver="", problem=error.message))
        return infos

    def with_certificate(self, serial_hex: str, certificate_sm3: str) -> tuple[Token, TokenInfo]:
        """The token that signs under this very certificate.

        :raises NoToken: if none does.
        """
        for info in self.infos():
            if info.certificate_sm3 == certificate_sm3 and info.certificate_serial == serial_hex:
                return self.get(info.label), info
        raise NoToken("本机没有这张证书的 UKey，请插入您本人的 UKey。", certificate_serial=serial_hex)
