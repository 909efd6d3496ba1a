"""Family G, officers' part: statements and the UKey agent attacked from a web page, from the wire and from the file.

Each case starts from an order the agent would sign and changes one thing; the agent is a real process. What only the
server can know (a nonce used, a document changed since, somebody else's post) is attacked where the server decides.
"""

import base64
import json
import socket
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.digests import sm3, sm3_hex
from core.merkle import leaf_hash, node_hash
from seals.statements import (
    DOMAIN,
    Item,
    canonical,
    item_text,
    path_of,
    statement_text,
    tbs,
    verify_item,
)
from tests.ukey import officers
from tests.ukey.fixtures import agent, authority, now, one_folder, program, start, tokens, wang, wangs_file
from tests.ukey.officers import PIN, SITE, item, order

__all__ = ["agent", "authority", "now", "one_folder", "program", "start", "tokens", "wang", "wangs_file"]

EVIL = "http://evil.example"
ITEMS = [item(1), item(2), item(3)]


def refused(agent: Any, body: Any, status: int, code: str) -> None:
    """Neither the page nor the signature comes forth, and no try is spent."""
    before = json.dumps(agent.request("GET", "/info")[2])
    for path, sent in (("/review", body), ("/sign", body | {"pin": PIN})):
        got, answer = agent.post(path, sent)
        assert (got, answer["code"]) == (status, code), path
        assert "signature" not in answer
    assert json.dumps(agent.request("GET", "/info")[2]) == before


def respell(body: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The order with fields of its statement changed, canonical again."""
    return body | {"statement": canonical(json.loads(body["statement"]) | changed).decode()}


def with_items(body: dict[str, Any], items: list[Item]) -> dict[str, Any]:
    return body | {"items": [item_text(one) for one in items]}


# What is shown is not what is signed ---------------------------------------------------------------------------------

DISPLAYED = {
    "one fen more": [*ITEMS[:2], replace(ITEMS[2], amount="300.02")],
    "a fen moved between two": [replace(ITEMS[0], amount="100.02"), replace(ITEMS[1], amount="200.00"), ITEMS[2]],
    "another payee": [*ITEMS[:2], replace(ITEMS[2], payee="临江市第９供水有限公司")],
    "another document": [*ITEMS[:2], item(9, amount="300.01")],
    "another revision": [*ITEMS[:2], replace(ITEMS[2], revision=2)],
    "another content": [*ITEMS[:2], replace(ITEMS[2], digest="0" * 64)],
    "another former step": [*ITEMS[:2], replace(ITEMS[2], former="0" * 64)],
    "one hidden": ITEMS[:2],
    "one more": [*ITEMS, item(4)],
    "none": [],
    "another order": [ITEMS[1], ITEMS[0], ITEMS[2]],
    "one twice": [*ITEMS, ITEMS[0]],
}


@pytest.mark.parametrize("name", DISPLAYED)
def test_items_other_than_the_statements_are_refused(agent, wang, now, name) -> None:
    refused(agent, with_items(order(wang, ITEMS, at=now), DISPLAYED[name]), 422, "statement_items_disagree")


@pytest.mark.parametrize(
    "changed", [{"sum": "600.04"}, {"sum": "600.02"}, {"count": 2}, {"count": 4}, {"root": "0" * 64}]
)
def test_a_statement_other_than_the_items_is_refused(agent, wang, now, changed) -> None:
    refused(agent, respell(order(wang, ITEMS, at=now), **changed), 422, "statement_items_disagree")


def test_an_amount_altered_in_items_root_and_not_in_the_sum_is_refused(agent, wang, now) -> None:
    honest = order(wang, ITEMS, at=now)
    dearer = order(wang, [*ITEMS[:2], replace(ITEMS[2], amount="999.99")], at=now)
    root = json.loads(dearer["statement"])["root"]
    refused(agent, respell(honest, root=root) | {"items": dearer["items"]}, 422, "statement_items_disagree")


def test_five_hundred_and_one_items_are_refused(agent, wang, now) -> None:
    most = order(wang, [item(number) for number in range(1, 501)], at=now)
    refused(agent, most | {"items": [*most["items"], item_text(item(501))]}, 422, "statement_items_disagree")


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text.replace(",", ", ", 1),
        lambda text: text[:-1] + ',"amount":"1.00"}',
        lambda text: '{"amount":"1.00",' + text[1:],
        lambda text: text.replace('"revision":1', '"revision":1.0'),
        lambda text: text.replace('"100.01"', "100.01"),
        lambda text: text.replace("供水", "供\u202e水"),
        lambda text: text.replace("供水", "供\u200b水"),
        lambda text: text.replace("供水", "\\u4f9b水"),
        lambda text: text[:-1] + ',"memo":"x"}',
    ],
    ids=["blank", "key-twice-last", "key-twice-first", "float", "number", "bidi", "zero-width", "escaped", "extra-key"],
)
def test_an_item_with_two_readings_is_refused(agent, wang, now, spell) -> None:
    body = order(wang, ITEMS, at=now)
    changed = spell(body["items"][0])
    assert changed != body["items"][0]
    refused(agent, body | {"items": [changed, *body["items"][1:]]}, 422, "statement_malformed")


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text + " ",
        lambda text: text[:-1] + ',"v":1}',
        lambda text: text.replace('"v":1', '"v":2'),
        lambda text: text.replace('"v":1', '"v":1.0'),
        lambda text: text.replace('"action":"approve"', '"action":"approve","action":"approve"'),
        lambda text: text.replace('"action":"approve"', '"action":"pay"'),
        lambda text: text.replace('"note":""', '"note":"同意"'),
        lambda text: text[:-1] + ',"z":1}',
        lambda text: "{}",
        lambda text: "GUOKU-STATEMENT-V1\0" + text,
    ],
    ids=[
        "blank",
        "key-twice",
        "version",
        "float",
        "action-twice",
        "unknown-action",
        "note",
        "extra",
        "empty",
        "domain",
    ],
)
def test_a_statement_with_two_readings_is_refused(agent, wang, now, spell) -> None:
    body = order(wang, ITEMS, at=now)
    refused(agent, body | {"statement": spell(body["statement"])}, 422, "statement_malformed")


# Blind signing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"digest": "0" * 64, "pin": PIN},
        {"data": "aGVsbG8=", "pin": PIN},
        {"statement": "0" * 64, "pin": PIN},
        {"voucher": "PD94bWw=", "pin": PIN},
        {"pin": PIN},
        {},
    ],
    ids=["digest", "data", "statement-alone", "voucher", "pin-alone", "nothing"],
)
def test_nothing_but_a_statement_with_its_items_is_signed(agent, wang, body) -> None:
    status, answer = agent.post("/sign", body)
    assert (status, answer["code"]) == (400, "bad_request")
    assert wang.token.info().tries_left == 6


@pytest.mark.parametrize(
    "path", ["/digest", "/sign/raw", "/tokens/wang/sign", "/tokens/wang/key", "/tokens/wang/export"]
)
def test_there_is_no_other_door_to_the_key(agent, path) -> None:
    status, answer = agent.post(path, {"pin": PIN, "digest": "0" * 64})
    assert (status, answer["code"]) == (404, "not_found")


@pytest.mark.parametrize("text", ["0" * 64, "MIIB", "null", "[]", '"x"', "1", ""])
def test_a_digest_in_the_statements_place_is_refused(agent, wang, now, text) -> None:
    refused(agent, order(wang, ITEMS, at=now) | {"statement": text}, 422, "statement_malformed")


def test_a_signature_means_a_statement_and_nothing_else(agent, wang, now) -> None:
    body = order(wang, ITEMS, at=now)
    signature = base64.b64decode(agent.post("/sign", body | {"pin": PIN})[1]["signature"])
    text = body["statement"].encode()

    assert wang.verify(tbs(body["statement"]), signature)
    for other in (text, sm3(text), DOMAIN.rstrip(b"\0") + text, b"GUOKU-ROOT-V1\0" + text, DOMAIN + text + b" "):
        assert not wang.verify(other, signature)


# Another site, another page, another host name -----------------------------------------------------------------------


@pytest.mark.parametrize("origin", [EVIL, "null", "", "http://127.0.0.1:8000", "https://127.0.0.1", "http://localhost"])
@pytest.mark.parametrize("path", ["/sign", "/review", "/tokens", "/tokens/wang/pin", "/tokens/wang/csr"])
def test_only_the_agents_own_page_may_post(agent, wang, now, origin, path) -> None:
    body = order(wang, ITEMS, at=now) | {"pin": PIN}
    status, headers, answer = agent.request("POST", path, body, Origin=origin)
    assert (status, answer["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("drop", ["Origin", "Host"])
def test_a_post_that_does_not_say_where_it_comes_from_is_refused(agent, wang, now, drop) -> None:
    status, _, _ = agent.request("POST", "/sign", order(wang, ITEMS, at=now) | {"pin": PIN}, drop=(drop,))
    assert status in (403, 413)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_browsers_word_that_it_is_another_site_counts(agent, wang, now, site) -> None:
    body = order(wang, ITEMS, at=now) | {"pin": PIN}
    assert agent.post("/sign", body, Sec_Fetch_Site=site)[0] == 403


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ""]
)
def test_a_form_cannot_post_json(agent, wang, now, kind) -> None:
    body = order(wang, ITEMS, at=now) | {"pin": PIN}
    assert agent.post("/sign", body, Content_Type=kind)[0] == 400
    assert wang.token.info().tries_left == 6


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", "[::1]:{port}",
     "0.0.0.0:{port}", "127.1:{port}", "127.0.0.1:{port}@evil.example", "localhost.:{port}", ""],
)  # fmt: skip
@pytest.mark.parametrize(("method", "path"), [("GET", "/info"), ("GET", "/manage"), ("POST", "/sign")])
def test_a_name_rebound_to_the_loopback_is_refused(agent, wang, now, host, method, path) -> None:
    host = host.format(port=agent.port)
    body = order(wang, ITEMS, at=now) | {"pin": PIN} if method == "POST" else None
    status, _, answer = agent.request(method, path, body, Host=host, Origin=f"http://{host}")
    assert (status, answer["code"]) == (403, "forbidden") and "tokens" not in answer


def test_two_host_names_are_refused(agent) -> None:
    with socket.create_connection(("127.0.0.1", agent.port), timeout=20) as connection:
        own = f"127.0.0.1:{agent.port}"
        connection.sendall(f"GET /info HTTP/1.1\r\nHost: evil.example\r\nHost: {own}\r\n\r\n".encode())
        assert b" 413 " in connection.recv(4096).split(b"\r\n", 1)[0] + b" "


def test_localhost_is_the_agents_own_name_too(agent, wang, now) -> None:
    host = f"localhost:{agent.port}"
    body = order(wang, ITEMS, at=now) | {"pin": PIN}
    assert agent.post("/sign", body, Host=host, Origin=f"http://{host}")[0] == 200
    assert agent.post("/sign", body, Host=host)[0] == 403  # the other name's page


@pytest.mark.parametrize("origin", [EVIL, "null", SITE + ".evil.example", "http://127.0.0.1:80000", "*"])
def test_another_site_cannot_read_who_holds_a_key(agent, origin) -> None:
    status, headers, answer = agent.request("GET", "/info", Origin=origin)
    assert status == 403 and "tokens" not in answer and "access-control-allow-origin" not in headers


def test_our_site_may_read_who_holds_a_key_and_no_wildcard_is_sent(agent) -> None:
    status, headers, _ = agent.request("GET", "/info", Origin=SITE)
    assert (status, headers["access-control-allow-origin"], headers["vary"]) == (200, SITE, "Origin")
    assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
def test_no_preflight_and_no_other_method_is_answered(agent, method) -> None:
    status, headers, _ = agent.request(
        method,
        "/sign",
        Origin=SITE,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Private_Network="true",
    )
    assert status == 501 and not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/confirm", "/enrol"])
@pytest.mark.parametrize(
    "query", ["", "?origin=", f"?origin={EVIL}", "?origin=*", f"?origin={SITE}%20{EVIL}", "?origin=null"]
)
def test_the_page_is_not_given_to_another_site(agent, path, query) -> None:
    status, _, answer = agent.request("GET", path + query)
    assert (status, answer["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("path", "ancestors"), [(f"/confirm?origin={SITE}", SITE), (f"/enrol?origin={SITE}", SITE), ("/manage", "'none'")]
)
def test_pages_run_their_own_scripts_only_and_are_framed_by_whom_they_were_given_to(agent, path, ancestors) -> None:
    status, headers, text = agent.request("GET", path)
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert status == 200
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (policy["frame-ancestors"], policy["form-action"], policy["base-uri"]) == (ancestors, "'none'", "'none'")
    assert "<style" not in text and " style=" not in text and " onclick=" not in text and "<script>" not in text
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_with_two_sites_each_frames_only_what_it_was_given(start, tokens, wang) -> None:
    agent = start(tokens, SITE, "https://guoku.example")
    headers = agent.request("GET", "/confirm?origin=https://guoku.example")[1]
    assert headers["content-security-policy"].endswith("frame-ancestors https://guoku.example")


@pytest.mark.parametrize(
    "path",
    ["/pages/../app.py", "/pages/%2e%2e/app.py", "/pages//etc/passwd", "/tokens/wang", "/pages/", "/wang.json",
     "/pages/confirm.html", "//evil.example/info", "/sign"],
)  # fmt: skip
def test_no_other_file_is_served(agent, path) -> None:
    assert agent.request("GET", path)[0] == 404


# Statements of other sites, officers and times -----------------------------------------------------------------------


def test_a_statement_of_one_site_is_not_signed_on_another(start, tokens, wang, now) -> None:
    agent = start(tokens, SITE, "https://guoku.example")
    body = order(wang, ITEMS, at=now)
    refused(agent, body | {"origin": "https://guoku.example"}, 422, "origin_mismatch")
    assert agent.post("/sign", body | {"pin": PIN})[0] == 200


@pytest.mark.parametrize("origin", [EVIL, "", "*"])
def test_a_site_nobody_named_gets_no_signature_even_on_its_own_statement(agent, wang, now, origin) -> None:
    body = order(wang, ITEMS, at=now, origin=EVIL)
    refused(agent, body | {"origin": origin}, 422, "origin_mismatch")


@pytest.mark.parametrize(
    ("age", "code"), [(301, "statement_expired"), (3600, "statement_expired"), (-120, "statement_expired")]
)
def test_a_statement_is_signed_in_its_five_minutes_only(agent, wang, now, age, code) -> None:
    refused(agent, order(wang, ITEMS, at=now - timedelta(seconds=age)), 422, code)


def test_a_statement_that_would_live_longer_is_refused(agent, wang, now) -> None:
    later = (now + timedelta(minutes=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    refused(agent, respell(order(wang, ITEMS, at=now), expires_at=later), 422, "statement_malformed")


def test_a_statement_for_another_officers_certificate_is_not_signed(agent, authority, wang, now) -> None:
    li = officers.with_software_token(agent.tokens, authority, "li", "李青")
    body = order(wang, ITEMS, at=now)
    refused(agent, body | {"certificate_serial": li.serial}, 404, "token_unknown")
    refused(agent, respell(body, certificate_sm3=sm3_hex(li.certificate.der)), 404, "token_unknown")
    refused(agent, respell(body, certificate_sm3="0" * 64), 404, "token_unknown")


def test_the_pin_of_one_officer_does_not_sign_for_another(agent, authority, wang, now) -> None:
    li = officers.with_software_token(agent.tokens, authority, "li", "李青")
    li.token.change_pin(PIN, "777777")
    status, answer = agent.post("/sign", order(li, ITEMS, at=now) | {"pin": PIN})
    assert (status, answer["code"]) == (422, "pin_wrong") and wang.token.info().tries_left == 6


@pytest.mark.parametrize(
    ("validity", "code"),
    [
        ({"start": datetime(2020, 1, 1, tzinfo=UTC), "end": datetime(2021, 1, 1, tzinfo=UTC)}, "certificate_expired"),
        ({"start": datetime(2090, 1, 1, tzinfo=UTC)}, "certificate_not_yet_valid"),
    ],
)
def test_an_expired_or_coming_certificate_does_not_sign(agent, authority, now, validity, code) -> None:
    old = officers.with_software_token(agent.tokens, authority, "old", "周远", **validity)
    refused(agent, order(old, ITEMS, at=now), 422, code)


def test_a_certificate_put_into_the_file_by_hand_does_not_sign(agent, authority, wang, tokens, now) -> None:
    li = officers.with_software_token(tokens, authority, "li", "李青")
    state = json.loads(wang.token.path.read_text())
    state["keys"]["current"]["certificate"] = li.certificate.pem
    wang.token.path.write_text(json.dumps(state))
    body = order(li, ITEMS, at=now)
    li.token.path.unlink()
    refused(agent, body, 404, "token_unknown")


# Requests that are not what they seem --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b | {"items": "x"},
        lambda b: b | {"items": [1]},
        lambda b: b | {"items": [{}]},
        lambda b: b | {"items": None},
        lambda b: b | {"statement": {}},
        lambda b: b | {"pin": 280614},
        lambda b: b | {"pin": None},
        lambda b: b | {"pin": [PIN]},
        lambda b: b | {"certificate_serial": 1},
        lambda b: b | {"extra": 1},
        lambda b: {name: value for name, value in b.items() if name != "origin"},
        lambda b: [b],
    ],
)
def test_a_body_of_other_types_is_refused(agent, wang, now, spoil) -> None:
    status, answer = agent.post("/sign", spoil(order(wang, ITEMS, at=now) | {"pin": PIN}))
    assert (status, answer["code"]) == (400, "bad_request")
    assert wang.token.info().tries_left == 6


def test_a_body_with_the_pin_twice_is_refused(agent, wang, now) -> None:
    text = json.dumps(order(wang, ITEMS, at=now) | {"pin": "000000"})[:-1] + f', "pin": "{PIN}"}}'
    assert agent.request("POST", "/sign", raw=text.encode())[0] == 400
    assert wang.token.info().tries_left == 6


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100000, b'"x"', b"null"])
def test_a_body_that_is_no_object_is_refused(agent, raw) -> None:
    assert agent.request("POST", "/sign", raw=raw)[0] == 400


@pytest.mark.parametrize(
    "headers",
    [{"Content_Length": "99999999"}, {"Content_Length": "-1"}, {"Content_Length": "1e3"},
     {"Content_Length": "9" * 5000}, {"Transfer_Encoding": "chunked"}],
)  # fmt: skip
def test_a_body_too_large_or_without_a_length_is_not_read(agent, headers) -> None:
    status, got, _ = agent.request("POST", "/sign", raw=b"{}", **headers)
    assert status == 413 and got["connection"] == "close"


def test_what_follows_an_unread_body_is_no_second_request(agent) -> None:
    own = f"127.0.0.1:{agent.port}"
    smuggled = f"GET /info HTTP/1.1\r\nHost: {own}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", agent.port), timeout=20) as connection:
        head = f"POST /sign HTTP/1.1\r\nHost: {own}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall((head + smuggled).encode())
        got = b""
        while part := connection.recv(4096):
            got += part
    assert got.count(b"HTTP/1.1") == 1 and b"tokens" not in got


# PIN by force --------------------------------------------------------------------------------------------------------


def test_guessing_through_every_door_ends_after_six(agent, wang, now) -> None:
    body = order(wang, ITEMS, at=now)
    doors = [
        ("/sign", body | {"pin": "000001"}),
        ("/tokens/wang/pin", {"pin": "000002", "new_pin": "111111"}),
        ("/tokens/wang/csr", {"pin": "000003", "suite": "sm2-sm3"}),
    ]
    statuses = [agent.post(path, sent)[0] for path, sent in doors * 2]
    assert statuses == [422, 422, 422, 422, 422, 423]
    assert [agent.post(path, sent | {"pin": PIN})[0] for path, sent in doors] == [423, 423, 423]


def test_a_new_token_cannot_take_a_locked_ones_place(agent, wang, now) -> None:
    for number in range(6):
        agent.post("/sign", order(wang, ITEMS, at=now) | {"pin": f"00000{number}"})
    made = {"label": "wang", "holder": "王知远", "suite": "sm2-sm3", "pin": "111111"}
    assert agent.post("/tokens", made)[0] == 409
    assert agent.post("/sign", order(wang, ITEMS, at=now) | {"pin": "111111"})[0] == 423


def test_a_stranger_cannot_install_a_certificate_over_anothers_key(agent, wang, authority, now) -> None:
    stranger = {"label": "li", "holder": "李青", "suite": "sm2-sm3", "pin": "135790"}
    csr = agent.post("/tokens", stranger)[1]["csr"]
    status, answer = agent.post("/tokens/wang/certificate", {"certificate": authority.certify(csr)})
    assert (status, answer["code"]) == (422, "certificate_not_ours")
    assert agent.post("/sign", order(wang, ITEMS, at=now) | {"pin": PIN})[0] == 200


# Statements and proofs taken apart -----------------------------------------------------------------------------------


def test_an_item_of_one_statement_is_no_item_of_another(now) -> None:
    mine = officers.statement(ITEMS, at=now)
    other = officers.statement([ITEMS[0], item(8), item(9)], at=now)
    for index, one in enumerate(ITEMS):
        path = path_of(ITEMS, index)
        assert verify_item(mine, item_text(one), index, path)
        assert not verify_item(other, item_text(one), index, path)


def test_an_inner_node_is_not_taken_for_an_item(now) -> None:
    batch = officers.statement([*ITEMS, item(4)], at=now)
    leaves = [leaf_hash(item_text(one).encode()) for one in (*ITEMS, item(4))]
    left, right = node_hash(leaves[0], leaves[1]), node_hash(leaves[2], leaves[3])
    shorter = replace(batch, count=2)
    assert bytes.fromhex(batch.root) == node_hash(left, right)
    assert not verify_item(shorter, (leaves[0] + leaves[1]).decode("latin-1"), 0, [right.hex()])


def test_an_approval_is_no_log_in_and_a_log_in_no_approval(wang, now) -> None:
    digest = sm3_hex(wang.certificate.der)
    login = officers.statement((), at=now, certificate_sm3=digest, action="login")
    approval = officers.statement(ITEMS, at=now, certificate_sm3=digest)
    signature = wang.token.sign(PIN, tbs(statement_text(login)))
    assert wang.verify(tbs(statement_text(login)), signature)
    assert not wang.verify(tbs(statement_text(approval)), signature)
    relabelled = canonical(asdict(login) | {"action": "approve"}).decode()
    assert not wang.verify(tbs(relabelled), signature)


@pytest.mark.parametrize(
    "changed",
    [{"action": "reject", "note": "重复"}, {"post": "treasury_chief"}, {"person_id": "P-0008"}, {"nonce": "f" * 32},
     {"adm_div_code": "990200000"}, {"officer": "李青"}, {"certificate_sm3": "0" * 64}, {"origin": EVIL}],
)  # fmt: skip
def test_a_signature_does_not_hold_for_any_changed_field(wang, now, changed) -> None:
    fields = {"certificate_sm3": sm3_hex(wang.certificate.der)}
    signature = wang.token.sign(PIN, tbs(statement_text(officers.statement(ITEMS, at=now, **fields))))
    other = officers.statement(ITEMS, at=now, **fields | changed)
    assert not wang.verify(tbs(statement_text(other)), signature)


def test_a_signature_of_another_officer_does_not_hold(wang, tokens, authority, now) -> None:
    li = officers.with_software_token(tokens, authority, "li", "李青")
    text = order(wang, ITEMS, at=now)["statement"]
    assert not wang.verify(tbs(text), li.token.sign(PIN, tbs(text)))


def test_step_two_cannot_be_taken_for_step_one(wang, now) -> None:
    first = wang.token.sign(PIN, tbs(order(wang, ITEMS, at=now)["statement"]))
    second = [replace(one, former=sm3_hex(first)) for one in ITEMS]
    assert officers.statement(second, at=now).root != officers.statement(ITEMS, at=now).root
