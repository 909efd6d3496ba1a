"""The yardstick: TPC-B-like transactions a second on the same PostgreSQL, by pgbench or, without it, by us.

Scale 20, 8 clients, prepared statements; a database of its own, dropped afterwards.
"""

import os
import random
import re
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import make_dsn, parse_dsn

SCALE, CLIENTS = 20, 8
DATABASE = "guoku_tpcb"
_TPS = re.compile(r"^tps = ([0-9.]+) \((?:without initial connection time|excluding connections establishing)\)", re.M)
_TRANSACTION = (
    "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
    "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
    "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2",
    "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
)
_TABLES = """
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88)) WITH (fillfactor=100);
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84)) WITH (fillfactor=100);
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)) WITH (fillfactor=100);
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
INSERT INTO pgbench_branches SELECT n, 0, '' FROM generate_series(1, {scale}) n;
INSERT INTO pgbench_tellers SELECT n, (n - 1) / 10 + 1, 0, '' FROM generate_series(1, {scale} * 10) n;
INSERT INTO pgbench_accounts SELECT n, (n - 1) / 100000 + 1, 0, '' FROM generate_series(1, {scale} * 100000) n;
"""


class TpcB:
    """TPC-B on the server that `owner_url` names; use as a context."""

    def __init__(self, owner_url: str) -> None:
        self._server: dict[str, Any] = {**parse_dsn(owner_url), "dbname": "postgres"}
        self._dsn: dict[str, Any] = {**self._server, "dbname": DATABASE}
        self._pgbench = find_pgbench()
        self.made_by = "pgbench" if self._pgbench else "psycopg2"

    def __enter__(self) -> "TpcB":
        self._administer("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._administer("CREATE DATABASE {}")
        if self._pgbench:
            self._call("-i", "-q", "-s", str(SCALE))
        else:
            with closing(psycopg2.connect(**self._dsn)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(_TABLES.format(scale=SCALE))
                    cursor.execute("VACUUM ANALYZE")
        return self

    def __exit__(self, *exc: object) -> None:
        self._administer("DROP DATABASE IF EXISTS {} WITH (FORCE)")

    def measure(self, seconds: int) -> float:
        """Transactions a second over so many seconds."""
        if not self._pgbench:
            return _by_ourselves(self._dsn, seconds)
        return tps_of(self._call("-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds)))

    def _call(self, *options: str) -> str:
        assert self._pgbench is not None
        known = {name: value for name, value in self._dsn.items() if name not in ("password", "options")}
        told = os.environ | {"PGPASSWORD": str(self._dsn.get("password", ""))}
        argv = [str(self._pgbench), *options, make_dsn(**known)]
        return subprocess.run(argv, env=told, capture_output=True, text=True, check=True).stdout

    def _administer(self, statement: str) -> None:
        with closing(psycopg2.connect(**self._server)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(sql.Identifier(DATABASE)))


def find_pgbench() -> Path | None:
    """pgbench of the server in use, else of PATH, else of any system installation; None if there is none."""
    folders = [os.environ.get("GUOKU_PG_BIN", ""), *os.environ.get("PATH", "").split(os.pathsep)]
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    candidates = [*(Path(folder) / "pgbench" for folder in folders if folder), *(path / "pgbench" for path in system)]
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def tps_of(output: str) -> float:
    """The rate in pgbench's report, connecting not counted.

    :raises ValueError: if the report has none.
    """
    found = _TPS.search(output)
    if found is None:
        raise ValueError(f"pgbench gave no tps: {output[-300:]}")
    return float(found[1])


def _by_ourselves(dsn: dict[str, Any], seconds: int) -> float:
    done: list[int] = []
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=lambda: done.append(_client(dsn, until))) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def _client(dsn: dict[str, Any], until: float) -> int:
    count = 0
    with closing(psycopg2.connect(**dsn)) as connection, connection.cursor() as cursor:
        for position, statement in enumerate(_TRANSACTION):
            cursor.execute(f"PREPARE t{position} AS {statement}")
        connection.commit()
        while time.monotonic() < until:
            account, branch = random.randint(1, SCALE * 100_000), random.randint(1, SCALE)
            teller, delta = random.randint(1, SCALE * 10), random.randint(-5000, 5000)
            cursor.execute("EXECUTE t0 (%s, %s)", (delta, account))
            cursor.execute("EXECUTE t1 (%s)", (account,))
            cursor.fetchone()
            cursor.execute("EXECUTE t2 (%s, %s)", (delta, teller))
            cursor.execute("EXECUTE t3 (%s, %s)", (delta, branch))
            cursor.execute("EXECUTE t4 (%s, %s, %s, %s)", (teller, branch, account, delta))
            connection.commit()
            count += 1
    return count
