"""The people and machines of the day, from outside: officers at a browser, operators at the partners' desks.

Every post carries an action id and is repeated with the same one while the other side does not answer, so a killed
web process or database costs time and nothing else.
"""

import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, TypeVar
from urllib.parse import urljoin

import httpx2 as httpx

PATIENCE_SECONDS = 90.0
PIN = "123456"  # of every demo UKey
T = TypeVar("T")
Fields = Mapping[str, str | Sequence[str]]
_PER_POST = {"csrfmiddlewaretoken", "action_id"}
# what a repeated post may hear when its first answer was lost: it has been done
_DONE_BEFORE = {"transition_not_allowed", "acted_before", "role_required", "conflict"}
_CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([A-Za-z0-9]+)"')


class RefusedByServer(Exception):
    """The server answered, and said no: the JSON it gave."""

    def __init__(self, status: int, answer: dict[str, Any]) -> None:
        super().__init__(f"HTTP {status}: {answer}")
        self.status = status
        self.answer = answer

    @property
    def codes(self) -> list[str]:
        return [item["code"] for item in self.answer.get("refused", [])] or [str(self.answer.get("code", ""))]


def patiently(act: Callable[[], T], *, seconds: float = PATIENCE_SECONDS) -> T:
    """Call until it neither loses its connection nor meets a server that is just starting."""
    until = time.monotonic() + seconds
    while True:
        try:
            return act()
        except (httpx.HTTPError, _ServerDown):
            if time.monotonic() > until:
                raise
            time.sleep(0.3)


class _ServerDown(Exception):
    pass


def _answered(response: httpx.Response) -> httpx.Response:
    if response.status_code >= 500:
        raise _ServerDown(f"HTTP {response.status_code} for {response.request.url}")
    return response


class _Forms(HTMLParser):
    """The forms of a page as a browser would send them untouched."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._select: str | None = None
        self._text_area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        name = values.get("name", "")
        if tag == "form":
            self.forms.append((values.get("action", ""), {}))
        elif not self.forms:
            return
        elif tag == "input" and name and values.get("type") not in ("submit", "checkbox", "radio", "file"):
            self.forms[-1][1][name] = values.get("value", "")
        elif tag == "select" and name:
            self._select = name
            self.forms[-1][1].setdefault(name, "")
        elif tag == "option" and self._select and "selected" in values:
            self.forms[-1][1][self._select] = values.get("value", "")
        elif tag == "textarea" and name:
            self._text_area = name
            self.forms[-1][1][name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        elif tag == "textarea":
            self._text_area = None

    def handle_data(self, data: str) -> None:
        if self._text_area and self.forms:
            self.forms[-1][1][self._text_area] += data


class Officer:
    """One log-in at a browser: cookies, CSRF token, forms. JSON is asked for instead of a page to look at."""

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self.username = username
        self._base_url = base_url
        self._http = httpx.Client(timeout=30.0, follow_redirects=False, trust_env=False)
        page = patiently(lambda: _answered(self._http.get(urljoin(base_url, "/login/"))))
        token = _CSRF.search(page.text)
        assert token is not None, "the log-in page has no form"
        form: Fields = {"username": username, "password": password}
        answer = patiently(lambda: self._send("/login/", form))
        if challenge := answer.json().get("ukey"):
            signed = self._signed(challenge)
            answer = patiently(lambda: self._send("/login/ukey/", signed))
        assert answer.status_code == 200 and "sessionid" in self._http.cookies, f"{username}: not logged in"

    def post(self, path: str, fields: Fields | None = None) -> list[dict[str, Any]]:
        """Post a form once and for all; returns what was accepted.

        :raises RefusedByServer: if anything was refused.
        """
        form = {**(fields or {}), "action_id": str(uuid.uuid4())}
        tries = 0

        def send() -> httpx.Response:
            nonlocal tries
            tries += 1
            return self._send(path, form)

        response = patiently(send)
        if "json" not in response.headers.get("content-type", ""):
            raise RefusedByServer(response.status_code, {"code": f"no JSON from {path}: {response.text[:200]}"})
        answer = response.json()
        if response.status_code >= 400 or answer.get("refused"):
            refusal = RefusedByServer(response.status_code, answer)
            if tries > 1 and set(refusal.codes) <= _DONE_BEFORE:
                return []  # the first try was carried out and its answer lost; what follows would show if not
            raise refusal
        accepted: list[dict[str, Any]] = answer["accepted"]
        return accepted

    def sign_and_post(self, path: str, fields: Fields) -> list[dict[str, Any]]:
        """Post a form that the officer signs with the UKey first; returns what was accepted.

        :raises RefusedByServer: if anything was refused, before the signature or after it.
        """
        asked = {**fields, "ukey_target": path}
        response = patiently(lambda: self._send("/ukey/prepare/", asked))
        answer = response.json()
        if response.status_code >= 400:
            raise RefusedByServer(response.status_code, answer)
        if answer["statement"] is None:
            raise RefusedByServer(422, answer)
        return self.post(path, {**fields, **self._signed(answer)})

    def _signed(self, asked: Mapping[str, Any]) -> dict[str, str]:
        """Show a statement to the officer's agent, as the page does, and give it the PIN."""
        agent = str(asked["agent_url"])
        order = {
            "statement": asked["statement"],
            "items": asked["items"],
            "certificate_serial": asked["certificate_serial"],
            "origin": self._base_url.rstrip("/"),
            "pin": PIN,
        }
        response = patiently(
            lambda: httpx.post(f"{agent}/sign", json=order, headers={"Origin": agent}, timeout=30.0, trust_env=False)
        )
        if response.status_code != 200:
            raise RefusedByServer(response.status_code, {"code": response.text[:300]})
        signed: dict[str, str] = response.json()
        return {**signed, "statement_id": asked["statement_id"]}

    def form(self, path: str, *, named: str) -> tuple[str, dict[str, str]]:
        """Open a page and read the form that has a field of this name: where it posts to, and what is filled in."""
        page = _Forms()
        page.feed(self.get(path).text)
        address, fields = next(form for form in page.forms if named in form[1])
        return address or path, {name: value for name, value in fields.items() if name not in _PER_POST}

    def get(self, path: str) -> httpx.Response:
        return patiently(lambda: _answered(self._http.get(urljoin(self._base_url, path))))

    def _send(self, path: str, form: Fields) -> httpx.Response:
        headers = {"Accept": "application/json"}
        if token := self._http.cookies.get("csrftoken"):
            headers["X-CSRFToken"] = token
        return _answered(self._http.post(urljoin(self._base_url, path), data=dict(form), headers=headers))


class Desk:
    """An operator at a partner's simulator: pay, clear, refund, report — or lose a receipt."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(timeout=60.0, headers={"X-Desk-Token": token}, trust_env=False)

    def post(self, verb: str, **order: Any) -> dict[str, Any]:
        response = patiently(lambda: _answered(self._http.post(f"{self._url}/desk/{verb}", json=order)))
        if response.status_code >= 400:
            raise RefusedByServer(response.status_code, {"code": response.text[:300]})
        answer: dict[str, Any] = response.json()
        return answer

    def state(self) -> dict[str, Any]:
        response = patiently(lambda: _answered(self._http.get(f"{self._url}/desk/state")))
        state: dict[str, Any] = response.json()
        return state
