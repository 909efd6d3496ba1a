"""The agent's HTTP face: pages of its own, and verbs that only those pages may call.

A plain function from request to answer; `server` puts it on a socket. The rules, in the order they are checked:
the Host must be a loopback name with our port (else a name rebound to 127.0.0.1 would be our origin); a POST must come
from our own pages (Origin, Sec-Fetch-Site) as JSON; a page is given to, and framed by, allowed sites only. No answer
but `/info` is readable by another origin, and that one by allowed sites only.
"""

import json
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from seals.errors import SealError
from ukey_agent import VERSION
from ukey_agent.errors import AgentError, BadRequest, Forbidden, NotHere
from ukey_agent.signing import Order, review, sign, token_json
from ukey_agent.software import SoftwareToken
from ukey_agent.store import TokenStore

MAX_BODY = 2 * 1024 * 1024  # 500 items of their greatest length
_PAGES = Path(__file__).with_name("pages")
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_FRAMED = {"/confirm": "confirm.html", "/enrol": "enrol.html"}  # shown inside our site
_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors {ancestors}"
)


@dataclass
class Answer:
    """Status, body and headers of one answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def log(event: str, **facts: Any) -> None:
    """One JSON line on standard output. Callers name each fact; no body is ever handed on whole."""
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event} | facts
    print(json.dumps(line, ensure_ascii=False), file=sys.stdout, flush=True)


class App:
    """The agent of one officer's machine, for the sites it was started for."""

    def __init__(self, store: TokenStore, origins: Collection[str], port: int, now: Callable[[], datetime]) -> None:
        self.store, self.origins, self.now = store, tuple(origins), now
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self.pages = {path.name: path.read_bytes() for path in _PAGES.iterdir() if path.suffix in _TYPES}

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request. Header names are lower case."""
        try:
            url = urlsplit(target)
            answer = self._route(method, url.path, url.query, headers, body)
        except AgentError as error:
            log("refused", method=method, path=target.partition("?")[0][:80], code=error.code)
            shown = {"code": error.code, "message": error.message, **error.facts}
            answer = _json(error.http_status, shown)
        except SealError as error:  # statements and certificates
            log("refused", method=method, path=target.partition("?")[0][:80], code=error.code)
            answer = _json(422, {"code": error.code, "message": error.message})
        except ValueError:
            answer = _json(400, {"code": "bad_request", "message": "请求无法理解。"})
        answer.headers = _COMMON | answer.headers
        return answer

    def _route(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if headers.get("host") not in self.hosts:
            raise Forbidden("此程序只接受本机访问。")
        if method == "GET":
            return self._get(path, query, headers)
        if method != "POST":
            raise NotHere("没有这个地址。")
        self._check_own_page(headers)
        return self._post(path, _read_json(body))

    def _check_own_page(self, headers: Mapping[str, str]) -> None:
        if headers.get("origin") != f"http://{headers['host']}":
            raise Forbidden("此操作只能在 UKey 程序自己的页面上进行。")
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise Forbidden("此操作只能在 UKey 程序自己的页面上进行。")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise BadRequest("只接受 JSON。")

    # Pages and facts ---------------------------------------------------------------------------------------------

    def _get(self, path: str, query: str, headers: Mapping[str, str]) -> Answer:
        if path == "/alive":  # tells a page that may not be shown here from a program that does not run; says no more
            return Answer(204, headers={"Cross-Origin-Resource-Policy": "cross-origin"})
        if path == "/info":
            return self._info(headers)
        if path in _FRAMED:
            origin = parse_qs(query).get("origin", [""])[0]
            if origin not in self.origins:
                raise Forbidden("UKey 程序没有登记此网站，不能在此签名。")
            return self._page(_FRAMED[path], ancestors=origin)
        if path == "/manage":
            return self._page("manage.html", ancestors="'none'")
        name = path.removeprefix("/pages/")
        if path.startswith("/pages/") and name in self.pages and not name.endswith(".html"):
            return self._page(name, ancestors="'none'")
        raise NotHere("没有这个地址。")

    def _page(self, name: str, *, ancestors: str) -> Answer:
        kind = f"{_TYPES[Path(name).suffix]}; charset=utf-8"
        policy = _CSP.format(ancestors=ancestors)
        return Answer(200, self.pages[name], {"Content-Type": kind, "Content-Security-Policy": policy})

    def _info(self, headers: Mapping[str, str]) -> Answer:
        origin = headers.get("origin")
        if origin is not None and origin not in (*self.origins, f"http://{headers['host']}"):
            raise Forbidden("UKey 程序没有登记此网站。")
        answer = _json(200, {"version": VERSION, "tokens": [token_json(info) for info in self.store.infos()]})
        answer.headers["Vary"] = "Origin"
        if origin in self.origins:
            answer.headers["Access-Control-Allow-Origin"] = str(origin)
        return answer

    # Verbs -------------------------------------------------------------------------------------------------------

    def _post(self, path: str, body: dict[str, Any]) -> Answer:
        if path == "/review":
            _expect(body, {"statement", "items", "certificate_serial", "origin"})
            return _json(200, review(Order.read(body), self.store, self.origins, self.now()))
        if path == "/sign":
            _expect(body, {"statement", "items", "certificate_serial", "origin", "pin"})
            signed = sign(Order.read(body), _text(body, "pin"), self.store, self.origins, self.now())
            log("signed", **signed.pop("log"))
            return _json(200, signed)
        if path == "/tokens":
            _expect(body, {"label", "holder", "suite", "pin"})
            return self._new_token(*(_text(body, name) for name in ("label", "holder", "pin", "suite")))
        match [unquote(part) for part in path.split("/")]:
            case ["", "tokens", label, verb]:
                return self._on_token(label, verb, body)
        raise NotHere("没有这个地址。")

    def _new_token(self, label: str, holder: str, pin: str, suite_id: str) -> Answer:
        _, request = SoftwareToken.create(self.store.folder, label, holder, pin, suite_id)
        log("token_made", label=label)
        return _json(201, {"label": label, "csr": request})

    def _on_token(self, label: str, verb: str, body: dict[str, Any]) -> Answer:
        token = self.store.get(label)
        if verb == "csr":
            _expect(body, {"pin", "suite"})
            answer = _json(200, {"label": label, "csr": token.generate_key(_text(body, "pin"), _text(body, "suite"))})
        elif verb == "certificate":
            _expect(body, {"certificate"})
            token.install_certificate(_text(body, "certificate"))
            answer = _json(200, token_json(token.info()))
        elif verb == "pin":
            _expect(body, {"pin", "new_pin"})
            token.change_pin(_text(body, "pin"), _text(body, "new_pin"))
            answer = _json(200, token_json(token.info()))
        else:
            raise NotHere("没有这个地址。")
        log(f"token_{verb}", label=label)
        return answer


def _read_json(body: bytes) -> dict[str, Any]:
    """:raises BadRequest: unless it is one JSON object with each name once."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise BadRequest("请求不是规范的 JSON。") from error
    if not isinstance(value, dict):
        raise BadRequest("请求须为 JSON 对象。")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name twice")
    return value


def _expect(body: dict[str, Any], names: set[str]) -> None:
    if set(body) != names:
        raise BadRequest("请求的字段缺失或多余。")


def _text(body: dict[str, Any], name: str) -> str:
    if not isinstance(body[name], str):
        raise BadRequest(f"{name} 须为文本。")
    return str(body[name])


def _json(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value, ensure_ascii=False).encode("utf-8"), {"Content-Type": "application/json"})
