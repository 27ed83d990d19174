"""The managers' tests use the service with servers on paper."""

from tests.unit.worker.conftest import (
    active_image,
    capture,
    compute,
    database_url,
    service,
    service_of,
    work,
)

__all__ = ["active_image", "capture", "compute", "database_url", "service", "service_of", "work"]
