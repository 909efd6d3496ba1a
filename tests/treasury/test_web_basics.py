"""What every answer carries, and what every log line says."""

import json
import logging

import pytest
from django.db import OperationalError, connection
from django.test import Client

from core.audit import audit_context
from treasury.jsonlog import JsonFormatter


@pytest.mark.django_db
def test_healthz_answers_with_secure_headers_and_a_request_id(client: Client) -> None:
    answer = client.get("/healthz")

    assert (answer.status_code, answer.content) == (200, b"ok")
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert len(answer["X-Request-ID"]) == 32


@pytest.mark.django_db
@pytest.mark.parametrize(("given", "kept"), [("bank-a.20261103.7", True), ("x\ny" * 8, False), ("short", False)])
def test_a_well_formed_request_id_is_kept(client: Client, given: str, kept: bool) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": given})

    assert (answer["X-Request-ID"] == given) is kept


@pytest.mark.django_db
def test_healthz_says_so_when_the_database_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(connection, "cursor", away)

    assert client.get("/healthz").status_code == 503


def test_a_log_line_is_one_json_object_with_the_request_id_and_the_facts() -> None:
    record = logging.makeLogRecord(
        {"name": "vouchers", "levelname": "INFO", "msg": "凭证 %s\n已发送", "args": ("5201",)}
    )
    record.attempts = 2

    with audit_context("request-7"):
        text = JsonFormatter().format(record)

    line = json.loads(text)
    assert "\n" not in text
    assert (line["message"], line["request_id"], line["attempts"]) == ("凭证 5201\n已发送", "request-7", 2)


@pytest.mark.django_db
def test_a_silent_evidence_log_is_an_alarm_for_the_watchman(client: Client) -> None:
    assert client.get("/healthz/evidence").json() == {"alarm": False, "streams": [], "anchors": []}
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO evidence_entry (stream, kind, subject_table, subject_id, noted_at) "
            "VALUES ('990100000/2026', 'review.decided', 'parties_reviewdecision', 'x', now() - interval '121 seconds')"
        )

    answer = client.get("/healthz/evidence")

    assert (answer.status_code, answer.json()["streams"]) == (503, ["990100000/2026"])
