"""Servers as callers see them; what is refused leaves no job."""

import dataclasses

import pytest

from imagesvc import errors
from imagesvc.domain.image import NewImage
from tests.unit.worker.conftest import CALLER, CONF

OTHER = dataclasses.replace(CALLER, project_id="other")
READER = dataclasses.replace(CALLER, roles=frozenset({"reader"}))


def refused(service, exc, ctx=CALLER, **values):
    """Creation raises and no job is there."""
    with pytest.raises(exc):
        service.servers.create(ctx, **{"name": "web", **values})
    assert service.jobs.list(ctx) == ()


def test_only_a_visible_active_image_gives_servers(service, active_image):
    refused(service, errors.ImageNotFound, OTHER, image_id=active_image.id)
    refused(service, errors.ImageNotFound, image_id="unknown")
    refused(service, errors.Forbidden, READER, image_id=active_image.id)
    service.images.deactivate(CALLER, active_image.id)
    refused(service, errors.Forbidden, image_id=active_image.id)
    new = NewImage(name="empty", disk_format="raw", container_format="bare")
    empty = service.images.create(CALLER, new)
    refused(service, errors.StateConflict, image_id=empty.id)


@pytest.mark.parametrize("count", [0, -1, 101])
def test_a_count_out_of_range_is_refused(service, active_image, count):
    refused(service, errors.InvalidRequest, image_id=active_image.id, count=count)


def test_the_limit_on_a_count_is_the_operators(service_of, active_image):
    service = service_of(CONF + "[limit]\nservers_per_request = 2\n")
    with pytest.raises(errors.InvalidRequest, match="count must be from 1 to 2"):
        service.servers.create(CALLER, name="web", image_id=active_image.id, count=3)


@pytest.mark.parametrize("verb", ["get", "start", "stop", "delete", "console_log"])
def test_a_foreign_server_does_not_exist(service, compute, verb):
    with pytest.raises(errors.ServerNotFound):
        getattr(service.servers, verb)(OTHER, "server")
    assert service.servers.list(OTHER) == []
    assert "server" in compute.servers


@pytest.mark.parametrize("verb", ["start", "stop", "delete"])
def test_what_is_done_to_a_server_is_recorded(service, verb):
    getattr(service.servers, verb)(CALLER, "server")
    with pytest.raises(errors.Forbidden):
        getattr(service.servers, verb)(READER, "server")
    events = service.audits.query(CALLER, action=f"server:{verb}")
    assert [event.outcome for event in events] == ["denied", "success"]
