"""The managers' tests use the service with servers on paper."""

import pytest

from imagesvc.manager import last_use
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


@pytest.fixture
def uses_written_later(monkeypatch):
    """No use of an image is written before a test says so."""
    monkeypatch.setattr(last_use, "DELAY_S", 3600)
