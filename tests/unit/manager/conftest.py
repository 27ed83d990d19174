"""The managers' tests use the service with servers on paper."""

from tests.unit.worker.conftest import (
    active_image,
    capture,
    compute,
    service,
    service_of,
    url,
    work,
)

__all__ = ["active_image", "capture", "compute", "service", "service_of", "url", "work"]
