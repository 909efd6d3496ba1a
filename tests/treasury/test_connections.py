"""One URL per service, in the shapes that Django and Celery want."""

import pytest
from django.db import connection

from treasury.settings import connections


def test_a_database_url_may_name_a_socket_folder() -> None:
    entry = connections.database("postgresql://guoku_app@/guoku?host=/tmp/a%20b&port=5433")

    assert (entry["HOST"], entry["PORT"], entry["USER"], entry["NAME"]) == ("/tmp/a b", "5433", "guoku_app", "guoku")


def test_a_password_with_odd_characters_survives_and_options_are_kept() -> None:
    entry = connections.database("postgresql://u:p%40%2F@db.example/guoku?sslmode=verify-full&options=-c%20jit%3Doff")

    assert entry["PASSWORD"] == "p@/"
    assert entry["OPTIONS"]["sslmode"] == "verify-full"
    assert entry["OPTIONS"]["options"].endswith("-c jit=off")


@pytest.mark.parametrize(
    ("redis_url", "broker"),
    [
        ("redis://:secret@127.0.0.1:6379/0", "redis://:secret@127.0.0.1:6379/0"),
        ("unix:///run/v.sock?db=3", "redis+socket:///run/v.sock?virtual_host=3"),
    ],
)
def test_celery_gets_the_same_server(redis_url: str, broker: str) -> None:
    assert connections.broker(redis_url) == broker


@pytest.mark.django_db
def test_no_statement_waits_for_a_lock_for_ever() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("5s", "1min")
