import pytest
from imagesvc_sqlite import SqliteStorage

from imagesvc.testing.conformance.storage import StorageConformance


class TestSqliteStorage(StorageConformance):
    @pytest.fixture
    def driver(self, tmp_path):
        return self.make(SqliteStorage, path=str(tmp_path / "image.sqlite"))
