import pytest

from attachments.store import FileStore
from tests.dashboards.conftest import at, real_at  # noqa: F401  (fixtures)
from tests.standing import settle, standing_city  # noqa: F401  (a fixture)


@pytest.fixture
def city(standing_city, db, pki, settings):  # noqa: F811
    return settle(pki, settings)


@pytest.fixture
def store(tmp_path, settings) -> FileStore:
    """An empty file store of this test's own."""
    settings.GUOKU_ATTACHMENTS_DIR = str(tmp_path / "files")
    return FileStore(tmp_path / "files")
