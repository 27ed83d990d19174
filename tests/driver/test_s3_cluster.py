"""The S3 store on a cluster whose members die while bytes travel: nothing is lost."""

import random
import uuid

import pytest

from imagesvc.interface import base
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.storage.s3 import S3Storage
from tests import poll, s3_server

MIB = 1 << 20
SIZE = 48 * MIB
VICTIMS = pytest.mark.parametrize(
    "victim", ["gateway0", "volume0", pytest.param("volume1", marks=pytest.mark.peer)]
)
DATA = random.Random(5).randbytes(SIZE)


@pytest.fixture(scope="module")
def cluster():
    """Three volume servers with two copies of all, two gateways."""
    weed, place = s3_server.start(s3_server.start_cluster)
    yield weed, place
    weed.stop()


@pytest.fixture
def driver(cluster):
    """The store on both gateways; whole again at the end."""
    weed, place = cluster
    values = place.options(prefix=f"{uuid.uuid4().hex}/", part_size_mib=5, retry_s=30.0)
    made = S3Storage(options_of(S3Storage, values), backend_id="test")
    made.open()
    yield made
    made.close()
    weed.restart()
    s3_server.wait_until_ready(weed, place)


def read_all(reader):
    """The bytes that follow."""
    with reader:
        return b"".join(iter(lambda: reader.read(MIB), b""))


@VICTIMS
def test_an_upload_goes_on_when_a_server_dies(cluster, driver, victim):
    with driver.open_write("k", size=None) as writer:
        for begin in range(0, SIZE, MIB):
            if begin == SIZE // 2:
                cluster[0].kill(victim)
            writer.write(DATA[begin : begin + MIB])
        assert writer.commit().size_bytes == SIZE
    assert read_all(driver.open_read("k")) == DATA


@VICTIMS
def test_a_download_goes_on_at_its_offset_when_a_server_dies(cluster, driver, victim):
    with driver.open_write("k") as writer:
        writer.write(DATA)
        writer.commit()
    with driver.open_read("k", offset=1) as reader:
        head = reader.read(MIB)
        cluster[0].kill(victim)
        rest = read_all(reader)
    assert head + rest == DATA[1:]


def test_a_gateway_that_is_back_ends_the_degraded_state(cluster, driver):
    weed, _ = cluster
    weed.kill("gateway1")
    health = driver.health()
    assert health.state is base.HealthState.DEGRADED, health.detail
    weed.restart()
    poll.until(lambda: driver.health().state is base.HealthState.OK)
