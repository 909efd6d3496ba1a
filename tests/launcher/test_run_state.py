"""Where a run keeps its files: closed to others, one holder at a time, paths that sockets can have."""

from pathlib import Path

import pytest

from launcher import environment, system
from launcher.environment import LaunchError, Run, fits_a_socket


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    return Run("demo")


def test_the_state_folder_is_closed_to_other_users(run: Run) -> None:
    assert run.keys.stat().st_mode & 0o777 == 0o700
    assert run.simulator("bank-a").stat().st_mode & 0o777 == 0o700


def test_a_secret_is_made_once_and_readable_by_its_owner_only(run: Run) -> None:
    first = run.secret("secret_key")

    assert len(first) >= 50
    assert run.secret("secret_key") == first
    assert (run.state / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_run_is_held_once(run: Run) -> None:
    assert system.holder(run) is None
    with system.exclusive(run):
        assert system.holder(run) is not None
        with pytest.raises(LaunchError, match="running already"), system.exclusive(run):
            pytest.fail("held twice")
    assert system.holder(run) is None


def test_a_socket_path_of_107_bytes_fits_and_one_more_does_not() -> None:
    limit = environment.SOCKET_PATH_LIMIT

    assert fits_a_socket(Path("/" + "x" * (limit - 1)))
    assert not fits_a_socket(Path("/" + "x" * limit))
    assert not fits_a_socket(Path("/" + "国" * (limit // 3 + 1)))
