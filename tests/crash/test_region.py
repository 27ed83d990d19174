"""Worker, API and connection killed anywhere in a copy into another region: one image, right bytes."""

import contextlib
import io
import os
import random
import signal
import threading

import pytest

from imagesvc.context import RequestContext
from imagesvc.domain.agency import NewAgency
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_query import ImageQuery
from imagesvc.domain.region_copy import RegionCopyRequest
from imagesvc.manager import store_verify
from tests.crash.line import Line
from tests.crash.station import Station, until
from tests.crash.test_tus import kill_servers

MIB = 1 << 20
DATA = random.Random(11).randbytes(5 * MIB + 7)
PASSWORD = "a-password-of-the-service"
# Where the source's worker dies, the target's API, the target's worker.
SOURCE_POINTS = (
    "step.introduce.begin", "step.introduce.told", "step.introduce.done", "step.transfer.begin",
    "step.transfer.sent", "step.transfer.done", "step.confirm.begin", "step.confirm.done",
)  # fmt: skip
API_POINTS = ("region_image.created", "upload.part_counted")
TARGET_POINTS = (
    "step.gather.begin", "step.gather.committed", "step.gather.kept", "step.gather.done",
    "step.assemble.done",
)  # fmt: skip
UNDO_POINTS = ("step.introduce.undone",)
WEST = "[service]\nregion = West\n[upload]\npart_size_mib = 1\nlease_s = 1\n"
EAST = """
[service]
region = East
regions = west
[worker]
retry_s = 60
[region_west]
name = West
endpoint = http://127.0.0.1:{port}
username = east
password = {password}
patch_mib = 2
timeout_s = 5
"""


class Pair:
    """Two regions, and a copy of an image from the East into the West."""

    def __init__(self, folder, data=DATA, more=""):
        for name in ("west", "east"):
            (folder / name).mkdir()
        self.data = data
        self.west = Station(folder / "west", more=WEST + more)
        identity = self.west.service.backends.identity()
        identity.create_project("service")
        identity.create_user("east", PASSWORD)
        identity.grant("east", "service", "service")
        self.line = Line(self.west.port)
        more = EAST.format(port=self.line.port, password=PASSWORD)
        self.east = Station(folder / "east", more=more)
        west, east = self.west.caller, self.east.caller
        self.member = RequestContext(
            west.user_id, west.project_id, frozenset({"member"}), project_name="crash"
        )
        self.west.service.region.agencies.create(
            self.member, NewAgency("from-east", "East", east.project_id)
        )
        self.image_id = self.make_image()
        request = RegionCopyRequest(self.image_id, "West", "crash")
        self.job_id = self.east.service.region.copies.start(east, request).id

    def make_image(self):
        """What is copied; its id."""
        service, east = self.east.service, self.east.caller
        new = NewImage(name="x", disk_format="raw", container_format="bare")
        image = service.images.create(east, new)
        service.image_files.upload(east, image.id, io.BytesIO(self.data), len(self.data))
        return image.id

    @property
    def job(self):
        """The copy as it is now."""
        return self.east.job(self.job_id)

    def arrived(self):
        """One image with the right bytes in the West, and nothing else anywhere."""
        until(lambda: self.job.finished_at)
        assert (self.job.state, self.job.error_text) == ("done", None)
        service, member = self.west.service, self.member
        [image] = self.images()
        assert (image.id, image.status) == (self.job.result["image_id"], "active")
        with service.image_files.download(member, image.id).open() as source:
            assert source.read() == self.data
        self.clean(1)

    def images(self):
        """Those of the West."""
        return self.west.service.images.list(self.member, ImageQuery()).images

    def clean(self, count):
        """Rows and bytes agree on both sides; so many images are in the West."""
        for one in (self.west, self.east):
            until(lambda one=one: compared(one) == [])
            assert one.quota_is_true()
        until(lambda: len(self.west.objects()) == count)
        assert self.west.quota() == [(count, 0), (count * len(self.data), 0), (0, 0)]

    def stop(self):
        """End all."""
        self.line.close()
        self.east.stop()
        self.west.stop()


def compared(station):
    """Where rows and bytes differ."""
    service = station.service
    return store_verify.verify(service.database, service.backends, older_than_s=0).findings


@pytest.fixture
def pair(tmp_path):
    """Both, the West with an API."""
    made = Pair(tmp_path)
    yield made
    made.stop()


def ready(pair, point=""):
    """The West's API answers."""
    pair.west.start("api", point)
    until(pair.west.ready)


def test_with_worker_door_worker_and_line_dead_once_each_one_image_arrives(pair):
    ready(pair, "upload.part_counted")
    source = pair.east.start("worker", "step.introduce.told")
    assert source.wait(60) == -signal.SIGKILL
    pair.east.start("worker")
    until(lambda: pair.line.sent > 2 * MIB)
    pair.line.cut()
    assert (
        pair.west.start("worker", "step.gather.committed", once=False).wait(60) == -signal.SIGKILL
    )
    assert pair.west.died
    pair.west.start("worker")
    pair.arrived()


@pytest.mark.soak
@pytest.mark.parametrize("point", SOURCE_POINTS)
def test_the_source_worker_dies_anywhere(pair, point):
    ready(pair)
    pair.west.start("worker")
    assert pair.east.start("worker", point).wait(60) == -signal.SIGKILL
    pair.east.start("worker")
    pair.arrived()


@pytest.mark.soak
@pytest.mark.parametrize("point", API_POINTS)
def test_the_door_of_the_target_dies_anywhere(pair, point):
    ready(pair, point)
    pair.west.start("worker")
    pair.east.start("worker")
    until(lambda: pair.west.died)
    pair.arrived()


@pytest.mark.soak
@pytest.mark.parametrize("point", TARGET_POINTS)
def test_the_target_worker_dies_anywhere(pair, point):
    ready(pair)
    pair.east.start("worker")
    assert pair.west.start("worker", point).wait(60) == -signal.SIGKILL
    pair.west.start("worker")
    pair.arrived()


@pytest.mark.soak
@pytest.mark.parametrize("point", UNDO_POINTS)
def test_a_copy_that_is_taken_back_leaves_nothing(pair, point):
    ready(pair)
    # Without a worker there, the image stays as it came until it is taken back.
    worker = pair.east.start("worker", point)
    until(lambda: (pair.job.error_text or "").startswith("Region West examines"))
    pair.east.service.jobs.cancel(pair.east.caller, pair.job_id)
    assert worker.wait(60) == -signal.SIGKILL
    pair.east.start("worker")
    until(lambda: pair.job.finished_at)
    assert pair.job.state == "cancelled"
    pair.west.start("worker")
    assert pair.images() == ()
    pair.clean(0)


@pytest.mark.peer
def test_an_agency_that_is_deleted_in_mid_copy_ends_it_on_both_sides(tmp_path):
    pair = Pair(tmp_path, random.Random(3).randbytes(64 * MIB))
    try:
        ready(pair)
        pair.east.start("worker")
        until(lambda: pair.line.sent > 4 * MIB)
        agencies = pair.west.service.region.agencies
        [agency] = agencies.list(pair.member)
        agencies.delete(pair.member, agency.id)
        sent = pair.line.sent
        until(lambda: pair.job.finished_at)
        assert (pair.job.state, "agency create" in pair.job.error_text) == ("failed", True)
        assert pair.line.sent < sent + 8 * MIB
        assert pair.images() == ()
        pair.west.start("worker")
        pair.clean(0)
    finally:
        pair.stop()


@pytest.mark.peer
@pytest.mark.parametrize("seed", range(20))
def test_whatever_dies_at_random_one_image_arrives(tmp_path, seed):
    print(f"seed {seed}")
    rolled = random.Random(seed)
    pair = Pair(tmp_path, random.Random(seed).randbytes(48 * MIB + seed))
    try:
        ready(pair)
        workers = {one: one.start("worker") for one in (pair.east, pair.west)}
        api = pair.west.processes[0]
        for _ in range(3):
            event = threading.Event()
            event.wait(rolled.uniform(0.05, 0.8))
            match rolled.choice(["source", "api", "target", "line"]):
                case "source":
                    killed(workers, pair.east)
                case "target":
                    killed(workers, pair.west)
                case "line":
                    pair.line.cut()
                case "api":
                    kill_servers(api)
                    api = pair.west.start("api")
        pair.arrived()
    finally:
        pair.stop()


def killed(workers, station):
    """Its worker dies, and another begins."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(workers[station].pid, signal.SIGKILL)
    workers[station].wait(20)
    workers[station] = station.start("worker")
