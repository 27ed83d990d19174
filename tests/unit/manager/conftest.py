"""The managers' tests use the service with servers on paper."""

from tests.unit.db.conftest import (
    postgresql_template,
    postgresql_url,
    sqlite_template,
    sqlite_url,
    url,
)
from tests.unit.worker.conftest import (
    active_image,
    capture,
    compute,
    database_url,
    service,
    service_of,
    work,
)

__all__ = [
    "active_image", "capture", "compute", "database_url", "postgresql_template",
    "postgresql_url", "service", "service_of", "sqlite_template", "sqlite_url", "url", "work",
]  # fmt: skip
