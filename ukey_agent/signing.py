"""Sign a statement, and only a statement: what is shown, what is checked and what is signed are one text.

There is no way to have a digest, a file or any other bytes signed. A statement may be signed more than once while it
lives; that its nonce counts once is the server's business, which alone knows.
"""

import base64
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seals.certificates import check_validity
from seals.statements import Item, Statement, check_items, check_time, parse_statement, tbs
from ukey_agent.errors import BadRequest, NoToken, OriginMismatch
from ukey_agent.store import TokenStore
from ukey_agent.tokens import Token, TokenInfo
from ukey_agent.words import ACTIONS, POSTS


@dataclass(frozen=True)
class Order:
    """What a site asks to have signed. `origin` is the site's, as the browser told the agent's page."""

    statement: str
    items: tuple[str, ...]
    certificate_serial: str
    origin: str

    @classmethod
    def read(cls, body: dict[str, Any]) -> "Order":
        """:raises BadRequest: unless each field is there and of its type."""
        items = body.get("items")
        texts = [body.get(name) for name in ("statement", "certificate_serial", "origin")]
        if not isinstance(items, list) or not all(isinstance(text, str) for text in (*texts, *items)):
            raise BadRequest("请求须含 statement、items、certificate_serial 和 origin。")
        return cls(body["statement"], tuple(items), body["certificate_serial"], body["origin"])


@dataclass(frozen=True)
class _Examined:
    statement: Statement
    items: list[Item]
    token: Token
    info: TokenInfo


def _examine(order: Order, store: TokenStore, origins: Collection[str], now: datetime) -> _Examined:
    """Everything that is checked before a PIN is asked for, and again before it is used."""
    statement = parse_statement(order.statement)
    if order.origin not in origins or statement.origin != order.origin:
        raise OriginMismatch("声明不是由此网站签发，不能签名。", stated=statement.origin, shown=order.origin)
    items = check_items(statement, order.items)
    check_time(statement, now)
    token, info = store.with_certificate(order.certificate_serial, statement.certificate_sm3)
    certificate = token.certificate()
    if certificate.serial_hex != info.certificate_serial:  # replaced since it was looked up
        raise NoToken("UKey 的证书刚刚更换，请重新办理。")
    check_validity(certificate, now)
    return _Examined(statement, items, token, info)


def review(order: Order, store: TokenStore, origins: Collection[str], now: datetime) -> dict[str, Any]:
    """What the confirmation page shows, taken from the texts that would be signed.

    :raises AgentError, StatementRefused, CertificateRefused: if it would not be signed whatever the PIN.
    """
    found = _examine(order, store, origins, now)
    statement, info = found.statement, found.info
    return {
        "action": statement.action,
        "action_name": ACTIONS[statement.action],
        "count": statement.count,
        "sum": statement.sum,
        "note": statement.note,
        "officer": statement.officer,
        "post_name": POSTS.get(statement.post, statement.post),
        "region": statement.adm_div_code,
        "origin": statement.origin,
        "expires_at": statement.expires_at,
        "items": [
            {"no": item.document_no, "payee": item.payee, "amount": item.amount, "revision": item.revision}
            for item in found.items
        ],
        "token": token_json(info),
    }


def sign(order: Order, pin: str, store: TokenStore, origins: Collection[str], now: datetime) -> dict[str, Any]:
    """The signature in its wire form, with what the log says about it under "log".

    :raises AgentError, StatementRefused, CertificateRefused: and nothing is signed.
    """
    found = _examine(order, store, origins, now)
    signature = found.token.sign(pin, tbs(order.statement))
    statement = found.statement
    return {
        "signature": base64.b64encode(signature).decode("ascii"),
        "certificate_serial": found.info.certificate_serial,
        "log": {
            "label": found.info.label, "certificate_serial": found.info.certificate_serial,
            "action": statement.action, "count": statement.count, "sum": statement.sum, "nonce": statement.nonce,
        },
    }  # fmt: skip


def token_json(info: TokenInfo) -> dict[str, Any]:
    """A token as the pages and `/info` show it."""
    return {
        "label": info.label,
        "driver": info.driver,
        "holder": info.holder,
        "tries_left": info.tries_left,
        "suite": info.suite_id,
        "certificate_serial": info.certificate_serial,
        "certificate_sm3": info.certificate_sm3,
        "subject": info.subject,
        "valid_from": info.valid_from.isoformat() if info.valid_from else None,
        "valid_to": info.valid_to.isoformat() if info.valid_to else None,
        "awaits_certificate": info.awaits_certificate,
        "problem": info.problem,
    }
