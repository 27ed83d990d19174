"""A rotation killed anywhere: all data keys are wrapped anew, and open at each moment."""

import io
import random

import pytest

from imagesvc.db import image_key
from imagesvc.domain.image import NewImage
from tests.crash.station import Station, until

POINTS = ("step.rewrap_keys.wrapped", "step.rewrap_keys.written")
DATA = random.Random(5).randbytes(10_000)
IMAGES = 3


@pytest.fixture
def station(tmp_path, url):
    """An installation with its own KMS."""
    made = Station(tmp_path, url)
    yield made
    made.stop()


def encrypted(station, key_id):
    """An image under a key; its id."""
    service = station.service
    wanted = NewImage(name="x", disk_format="raw", container_format="bare", key_id=key_id)
    image = service.images.create(station.caller, wanted)
    service.image_files.upload(station.caller, image.id, io.BytesIO(DATA), len(DATA))
    return image.id


def versions(station, key_id):
    """Of the wrapped data keys."""
    with station.service.database.read() as conn:
        return [row.version for row in image_key.page(conn, "local", key_id, ("", ""), 10)]


def opens(station, image_id):
    """Whether the image reads as it was."""
    with station.service.image_files.download(station.caller, image_id).open() as stream:
        return stream.read() == DATA


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_rotation_goes_on_and_all_images_open_meanwhile(station, point):
    service = station.service
    key_id = service.keys.create(station.caller, "k", None, "token").info.id
    images = [encrypted(station, key_id) for _ in range(IMAGES)]
    before = [one.key for one in service.backends.storage().list()]
    job = service.keys.rotate(station.caller, key_id)[1]
    station.start("worker", point)
    until(lambda: station.died)
    assert versions(station, key_id) == [2 if point.endswith("written") else 1] * IMAGES
    assert all(opens(station, one) for one in images)
    station.start("worker")
    until(lambda: service.jobs.get(station.caller, job.id).state == "done")
    assert versions(station, key_id) == [2] * IMAGES
    assert all(opens(station, one) for one in images)
    assert [one.key for one in service.backends.storage().list()] == before
