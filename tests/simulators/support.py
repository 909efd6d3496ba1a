"""Callers for the simulator tests: parties with keys, documents of the worked day, a finance system that listens."""

import base64
import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from simulators.app import Answer, App
from simulators.keys import Keyring
from simulators.storage import Storage
from simulators.wire import Body, Document, Identity, build_envelope, parse_document, parse_envelope

DESK_TOKEN = "desk-token-of-the-tests"
XML = "application/xml; charset=GBK"
A_NO, B_NO = "102990100019", "103990100027"
A_FINANCE, A_101001, B_101002, B_205001 = (
    "6210001000000001",
    "6210001010010001",
    "6220001010020001",
    "6220002050010001",
)
AUTHORISED = {"101001": (A_101001, A_NO), "101002": (B_101002, B_NO), "205001": (B_205001, B_NO)}


class Party:
    """An organisation on the other side: signs bodies and requests with its own key."""

    def __init__(self, code: str, pki: Path, storage: Path) -> None:
        self.code = code
        self.keys = Keyring(pki, code, Storage(storage))

    def body(self, document: Document, flag: int = 0, position: str = "qm") -> Body:
        text = document.text()
        identity = Identity(*(document.main[tag] for tag in ("AdmDivCode", "StYear", "VtCode", "VoucherNo")))
        return Body(identity, flag, text, (self.keys.sign_text(text, position),))

    def call(self, app: App, path: str, body: bytes, content_type: str = XML) -> Any:
        """A signed request to an app in this process; the answer's signature is checked."""
        headers, nonce = self.keys.sign_request("POST", path, "", body, content_type)
        answer = app.handle("POST", path, {name.lower(): value for name, value in headers.items()}, body)
        if answer.status != 401:
            lowered = {name.lower(): value for name, value in answer.headers.items()}
            self.keys.check_answer(app.owner.settings.organisation, answer.status, answer.body, lowered, nonce)
        return answer

    def push(self, app: App, *bodies: Body) -> list[dict[str, Any]]:
        """POST /vouchers; the results."""
        answer = self.call(app, "/vouchers", build_envelope(body.xml() for body in bodies))
        assert answer.status == 200, answer.body
        results: list[dict[str, Any]] = json.loads(answer.body)["results"]
        return results

    def query(self, app: App, *bodies: Body) -> list[dict[str, Any]]:
        """POST /query; the results."""
        items = json.dumps({"items": [body.identity.as_dict() for body in bodies]}).encode()
        results: list[dict[str, Any]] = json.loads(self.call(app, "/query", items, "application/json").body)["results"]
        return results


def desk(app: App, name: str, **order: Any) -> Any:
    """A desk order; asserts that it was carried out."""
    answer = desk_answer(app, name, **order)
    assert answer.status == 200, answer.body.decode()
    return json.loads(answer.body)


def desk_answer(app: App, name: str, **order: Any) -> Answer:
    """A desk order, whatever it says."""
    method = "GET" if name == "state" else "POST"
    return app.handle(method, f"/desk/{name}", {"x-desk-token": DESK_TOKEN}, json.dumps(order).encode())


def balances(app: App) -> dict[str, str]:
    """Account number to balance."""
    return {account["no"]: account["balance"] for account in desk(app, "state")["accounts"]}


def _main(kind: str, number: str, date: str = "20260615") -> dict[str, str]:
    return {
        "Id": f"{kind}-{number}",
        "AdmDivCode": "990100000",
        "StYear": "2026",
        "VtCode": kind,
        "VouDate": date,
        "VoucherNo": number,
    }


def _total(amounts: Iterable[str]) -> str:
    fen = sum(int(amount.replace(".", "")) for amount in amounts)
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def payment(
    kind: str, number: str, unit: str, rows: list[tuple[str, str]], *, payer: str = "", bank_no: str = ""
) -> Document:
    """A 5201 or 8202; rows are (payee account, amount)."""
    account, bank = (A_FINANCE, A_NO) if kind == "5201" else AUTHORISED[unit]
    total = _total(amount for _payee, amount in rows)
    receipt = {"XPayDate": "", "XAgentBusinessNo": "", "XPayAmt": ""}
    main = _main(kind, number) | {
        "FundTypeCode": "11",
        "FundTypeName": "一般公共预算资金",
        "BgtTypeCode": "1",
        "AgencyCode": unit,
        "AgencyName": f"单位{unit}",
        "ExpFuncCode": "2050204",
        "ExpFuncName": "高中教育",
        "PayBankCode": bank_no or bank,
        "PayAcctNo": payer or account,
        "PayAcctName": "零余额账户",
        "PayAcctBankName": "代理银行",
        "PayAmt": total,
        **receipt,
    }
    details = [
        {
            "Id": str(index),
            "AgencyCode": unit,
            "AgencyName": f"单位{unit}",
            "PayeeAcctNo": payee,
            "PayeeAcctName": f"收款人{index}",
            "PayeeAcctBankName": "丙银行",
            "PayAmt": amount,
            **receipt,
            "XAddWord": "",
        }
        for index, (payee, amount) in enumerate(rows, 1)
    ]
    return Document(main, details)


def limit_notice(kind: str, number: str, bank_no: str, amount: str) -> Document:
    """A 5106 (authorised) or 5108 (direct)."""
    tag = "PlanAmt" if kind == "5106" else "PayAmt"
    main = _main(kind, number) | {
        "TreCode": "9901000000",
        "FinOrgCode": "990100000000",
        "FundTypeCode": "11",
        "PayBankNo": bank_no,
        "SetMonth": "06",
        tag: amount,
    }
    return Document(main, [{"Id": "1", "ExpFuncCode": "2050204", tag: amount}])


def quota_notice(number: str, amount: str) -> Document:
    """A 5105 to bank B for unit 205001."""
    main = _main("5105", number) | {"FundTypeCode": "11", "PayBankCode": "103", "SetMonth": "06", "PlanAmt": amount}
    line = {
        "Id": "1",
        "FundTypeCode": "11",
        "AgencyCode": "205001",
        "AgencyName": "市公安局",
        "ExpFuncCode": "2040220",
        "AgencyAccoCode": B_205001,
        "PlanAmt": amount,
    }
    return Document(main, [line])


def carry(sender: App, receiver: App, parties: dict[str, Party], kinds: set[str]) -> list[dict[str, Any]]:
    """Take what ``sender`` has queued for ``receiver`` (these types) over in one POST and mark it sent."""
    owner, target = sender.owner, receiver.owner.settings.organisation
    with owner.storage.write() as db:
        rows = db.execute(
            "SELECT o.id, i.voucher_type, i.voucher_no, i.flag, i.body"
            " FROM outbox o JOIN issued i ON i.id = o.issued_id"
            " WHERE o.destination = ? AND o.status = 'pending' ORDER BY o.id",
            (target,),
        ).fetchall()
        rows = [row for row in rows if row["voucher_type"] in kinds]
        db.executemany("UPDATE outbox SET status = 'done' WHERE id = ?", [(row["id"],) for row in rows])
    bodies = parse_envelope(build_envelope([row["body"] for row in rows]))
    return parties[owner.settings.organisation].push(receiver, *bodies)


def sent(app: App, destination: str, kind: str) -> list[Document]:
    """Documents of a type stored for a destination, in order."""
    rows = app.owner.storage.read().execute(
        "SELECT i.body FROM outbox o JOIN issued i ON i.id = o.issued_id"
        " WHERE o.destination = ? AND i.voucher_type = ? ORDER BY o.id",
        (destination, kind),
    )
    return [parse_document(parse_envelope(build_envelope([row["body"]]))[0]) for row in rows]


class FinanceServer:
    """Listens on ``url``, checks signatures, collects (type, number, flag, digest); ``down`` answers 503."""

    def __init__(self, fin: Party) -> None:
        self.collected: list[tuple[str, str, int, str]] = []
        self.idempotency_keys: list[str] = []
        self.outcome = "applied"
        self.down = False
        self.waiting: list[Body] = []  # for the bank to fetch
        self.confirmed: list[str] = []
        self.failed: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                path, _, query = self.path.partition("?")
                _who, nonce = fin.keys.check_request(self.command, path, query, body, headers)
                if self.command == "POST" and path == "/api/v1/vouchers/":
                    status, payload = outer._take(body, headers.get("idempotency-key", ""))
                else:
                    status, payload = outer._library(path, body)
                content = json.dumps(payload).encode()
                self.send_response(status)
                for name, value in fin.keys.sign_answer(status, content, nonce).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _take(self, raw: bytes, key: str) -> tuple[int, dict[str, Any]]:
        if self.down:
            return 503, {}
        self.idempotency_keys.append(key)
        bodies = parse_envelope(raw)
        self.collected += [(b.identity.voucher_type, b.identity.voucher_no, b.flag, b.digest) for b in bodies]
        results = [
            {**b.identity.as_dict(), "flag": b.flag, "digest": b.digest, "outcome": self.outcome, "code": ""}
            for b in bodies
        ]
        return 200, {"results": results} if len(results) > 1 else results[0]

    def _library(self, path: str, raw: bytes) -> tuple[int, dict[str, Any]]:
        if path == "/api/v1/vouchers/":
            rows = [
                {
                    **b.identity.as_dict(),
                    "digest": b.digest,
                    "envelope": base64.b64encode(build_envelope([b.xml()])).decode(),
                }
                for b in self.waiting
            ]
            return 200, {"results": rows, "next": None}
        items = json.loads(raw)["items"]
        numbers = [item["voucher_no"] for item in items]
        if path.endswith("/confirm/"):
            self.confirmed += numbers
        else:
            self.failed |= {item["voucher_no"]: item["reason"] for item in items}
        self.waiting = [body for body in self.waiting if body.identity.voucher_no not in numbers]
        return 200, {"results": []}

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def fin_receipts(bank: App) -> list[tuple[str, str]]:
    """What each queued receipt says was paid, and whether it waits or is lost."""
    receipts = sent(bank, "FIN-990100000", "8202")
    states = [row["status"] for row in desk(bank, "state")["issued"]]
    return [(receipt.main["XPayAmt"], state) for receipt, state in zip(receipts, states, strict=True)]
