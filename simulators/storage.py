"""The partner's own SQLite file: one writer at a time, full durability, a POST is one transaction.

Whatever was answered is on disk before the answer leaves (WAL, ``synchronous=FULL``), so ``kill -9`` at any instant
loses nothing that somebody was told. Amounts are whole fen.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS nonces (nonce TEXT PRIMARY KEY, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (
    no TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL, opening INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS movements (
    id INTEGER PRIMARY KEY, account_no TEXT NOT NULL REFERENCES accounts, amount INTEGER NOT NULL,
    kind TEXT NOT NULL, reference TEXT NOT NULL, booked_on TEXT NOT NULL, note TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS movement_account ON movements (account_no, amount);

CREATE TABLE IF NOT EXISTS received (
    id INTEGER PRIMARY KEY, adm_div_code TEXT, fiscal_year TEXT, voucher_type TEXT, voucher_no TEXT,
    flag INTEGER NOT NULL, digest TEXT NOT NULL, body TEXT NOT NULL, sender TEXT NOT NULL,
    status TEXT NOT NULL, code TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    copies INTEGER NOT NULL DEFAULT 1, received_on TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS one_live_voucher ON received
    (voucher_no, voucher_type, fiscal_year, adm_div_code, flag) WHERE status = 'accepted';
CREATE INDEX IF NOT EXISTS received_identity ON received (voucher_no, voucher_type);

CREATE TABLE IF NOT EXISTS issued (
    id INTEGER PRIMARY KEY, adm_div_code TEXT, fiscal_year TEXT, voucher_type TEXT, voucher_no TEXT,
    flag INTEGER NOT NULL, digest TEXT NOT NULL, body TEXT NOT NULL, issued_on TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS issued_identity ON issued (voucher_no, voucher_type);
CREATE INDEX IF NOT EXISTS issued_digest ON issued (digest);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, issued_id INTEGER NOT NULL REFERENCES issued, destination TEXT NOT NULL,
    status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_attempt REAL NOT NULL DEFAULT 0,
    code TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (destination, id) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS outbox_issued ON outbox (issued_id);
"""


class Storage:
    """A directory with one database; ``write()`` for changes, ``read()`` for a look."""

    def __init__(self, directory: Path, schema: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = directory / "partner.sqlite3"
        self._lock = threading.RLock()
        self._local = threading.local()
        self._writer = self._connect()
        self._writer.executescript(SCHEMA + schema)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        return db

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction, rolled back whole if the block raises. Inside another one it is part of that."""
        with self._lock:
            if self._writer.in_transaction:  # the lock is ours, so the transaction is too
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def read(self) -> sqlite3.Connection:
        """This thread's reading connection."""
        if not hasattr(self._local, "db"):
            self._local.db = self._connect()
        db: sqlite3.Connection = self._local.db
        return db

    def close(self) -> None:
        """Close the writing connection (readers close with their threads)."""
        with self._lock:
            self._writer.close()


@contextmanager
def savepoint(db: sqlite3.Connection) -> Iterator[None]:
    """Undo only this block when it raises, so one bad voucher does not take its batch along."""
    db.execute("SAVEPOINT one")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK TO one")
        db.execute("RELEASE one")
        raise
    db.execute("RELEASE one")


def insert(db: sqlite3.Connection, table: str, **values: Any) -> int:
    """Insert one row and return its id. Table and column names are ours, never a partner's."""
    marks = ", ".join("?" * len(values))
    cursor = db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
    return int(cursor.lastrowid or 0)


def next_number(db: sqlite3.Connection, name: str) -> int:
    """The next number of a series; it goes on where it stopped, whatever restarts happened in between."""
    row = db.execute(
        "INSERT INTO numbers VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last", (name,)
    ).fetchone()
    return int(row[0])


def setting(db: sqlite3.Connection, name: str, default: Any = None) -> Any:
    """A stored setting (JSON)."""
    row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return default if row is None else json.loads(row[0])


def set_setting(db: sqlite3.Connection, name: str, value: Any) -> None:
    """Store a setting (JSON)."""
    db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value, ensure_ascii=False)))


def book(db: sqlite3.Connection, *, account: str, amount: int, kind: str, ref: str, on: str, note: str = "") -> None:
    """Book one movement of an account, in fen; minus is money going out."""
    insert(db, "movements", account_no=account, amount=amount, kind=kind, reference=ref, booked_on=on, note=note)


def balance(db: sqlite3.Connection, account: str) -> int:
    """Opening balance plus everything booked since, in fen."""
    row = db.execute(
        "SELECT opening + (SELECT coalesce(sum(amount), 0) FROM movements WHERE account_no = no)"
        " FROM accounts WHERE no = ?",
        (account,),
    ).fetchone()
    return int(row[0])


def load_accounts(db: sqlite3.Connection, rows: list[Mapping[str, str]], to_fen: Any) -> None:
    """Opening balances; accounts that exist already are left as they are."""
    db.executemany(
        "INSERT OR IGNORE INTO accounts VALUES (?, ?, ?, ?, ?)",
        [(a["no"], a["name"], a["kind"], a["owner"], to_fen(a["opening"])) for a in rows],
    )
