"""Officers' hands for programs that call services directly: a statement, the UKey with its PIN, the proof."""

import os
from functools import cache
from pathlib import Path

from demo.keys import PIN
from seals.approvals import Prepared, Proof
from seals.statements import tbs
from ukey_agent.store import TokenStore


@cache
def _store() -> TokenStore:
    return TokenStore(Path(os.environ["GUOKU_UKEY_TOKENS"]))


def proof_of(prepared: Prepared, username: str) -> Proof | None:
    """Sign what was prepared with the officer's own UKey; None if there is nothing to sign.

    :raises TreasuryError: the first refusal, if nothing may be decided on.
    """
    if prepared.statement is None or prepared.certificate is None:
        for refusal in prepared.refused.values():
            raise refusal
        return None
    signature = _store().get(username).sign(PIN, tbs(prepared.statement.text))
    return Proof(prepared.statement.pk, signature, prepared.certificate.serial_hex)
