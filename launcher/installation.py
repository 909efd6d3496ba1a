"""Makes `.venv` and installs the hash-pinned locks. Standard library only: it runs before anything is installed.

uv installs in seconds what takes pip half a minute, so pip fetches a pinned uv first; where uv fails, pip does it all.
Where packages come from is the user's own pip configuration, which uv does not read by itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MARKER = VENV / "guoku-installed.json"
LOCKS = ROOT / "requirements"
UV_CACHE = ROOT / ".state" / "uv-cache"


class InstallationFailed(Exception):
    """The environment could not be made; the message says what to do about it."""


def inside() -> bool:
    """Whether this Python is the environment's own."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def ensure(*, tests: bool) -> Path:
    """Install what is not yet installed; the environment's Python. Without `tests`, what the tests need is left out.

    :raises InstallationFailed: if Python cannot make environments, or the packages cannot be had.
    """
    names = ["runtime.lock", "standalone.lock"] + (["test.lock"] if tests else [])
    wanted = {name: hashlib.sha256((LOCKS / name).read_bytes()).hexdigest() for name in names}
    if wanted.items() <= _installed().items():
        return PYTHON
    with _alone():
        if wanted.items() <= _installed().items():  # another command did it while we waited
            return PYTHON
        started = time.monotonic()
        _say("Installing the pinned packages into .venv …")
        if not _installed():  # none yet, half made, moved, or its Python has gone
            _make_venv()
        requirements = [word for name in names for word in ("-r", str(LOCKS / name))]
        _install(requirements)
        shutil.rmtree(UV_CACHE, ignore_errors=True)  # only kept so that uv may link files instead of copying them
        MARKER.write_text(json.dumps({**_installed(), **wanted, "checkout": str(ROOT)}, indent=1))
        _say(f"Installed in {time.monotonic() - started:.1f} s.")
    return PYTHON


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # stdout belongs to the command


def _installed() -> dict[str, str]:
    try:
        marker: dict[str, str] = json.loads(MARKER.read_text())
    except (OSError, ValueError):
        return {}
    return marker if marker.get("checkout") == str(ROOT) and PYTHON.exists() else {}


def _make_venv() -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        raise InstallationFailed(
            f"{sys.executable} cannot make virtual environments: its `ensurepip` is missing.\n"
            f"On Debian and Ubuntu, as root: apt-get install {version}-venv   (then run this command again)"
        )
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
    if made.returncode:
        raise InstallationFailed(f"Could not make {VENV}:\n{made.stdout}{made.stderr}")


def _install(requirements: list[str]) -> None:
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-cache-dir", "--require-hashes"]
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    got_uv = subprocess.run([*pip, "-r", str(LOCKS / "bootstrap.lock")], env=quiet, capture_output=True, text=True)
    if got_uv.returncode == 0:
        uv = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--require-hashes", "--python", str(PYTHON)]
        done = subprocess.run([*uv, *requirements], env=_uv_environment(), capture_output=True, text=True)
        if done.returncode == 0:
            return
        reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[0]
        _say(f"uv could not install them ({reason}); pip takes over, which is slower.")
    done = subprocess.run([*pip, *requirements], env=quiet, capture_output=True, text=True)
    if done.returncode:
        raise InstallationFailed(
            f"The packages could not be installed:\n{done.stdout}{done.stderr}"
            "Set PIP_INDEX_URL (and PIP_CERT) if your network needs a mirror or a proxy."
        )


def _uv_environment() -> dict[str, str]:
    """Our environment with pip's configuration in uv's words; a UV_ variable that the user set goes first."""
    told = {"UV_CACHE_DIR": str(UV_CACHE), "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1"}
    configured = _pip_configuration()
    if "index-url" in configured:
        told["UV_DEFAULT_INDEX"] = configured["index-url"]
    if "extra-index-url" in configured:
        told["UV_INDEX"] = " ".join(configured["extra-index-url"].split())
        told["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip does; the hashes say what is acceptable
    if "find-links" in configured:
        told["UV_FIND_LINKS"] = ",".join(configured["find-links"].split())
    if "trusted-host" in configured:
        told["UV_INSECURE_HOST"] = " ".join(configured["trusted-host"].split())
    if "proxy" in configured:
        told["ALL_PROXY"] = configured["proxy"]
    # A gateway that inspects TLS is known to the system's store or to pip's `cert`, not to the roots inside uv.
    if "cert" in configured:
        told["SSL_CERT_FILE"] = configured["cert"]
    elif ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().capath:
        told["UV_SYSTEM_CERTS"] = "1"
    return told | os.environ


def _pip_configuration() -> dict[str, str]:
    """pip's settings from its files and from PIP_ variables, the stronger ones last: `:env:` beats files."""
    listed = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    settings: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in settings:
            settings[section][name] = value.strip("'\"").replace("\\n", " ")
    return {**settings["global"], **settings["install"], **settings[":env:"]}


@contextmanager
def _alone() -> Iterator[None]:
    """One installation at a time in a checkout."""
    state = ROOT / ".state"
    state.mkdir(mode=0o700, exist_ok=True)
    with open(state / "installation.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
