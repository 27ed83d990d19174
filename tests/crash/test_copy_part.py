"""A worker killed in the middle of a disk that it copies: the next one sends what is missing."""

import io
import os
import random
import signal
import time
import uuid
from pathlib import Path

import pytest

from imagesvc.db import image_disk
from imagesvc.domain import storage_key
from imagesvc.domain.image import NewImage
from imagesvc.manager import store_verify
from imagesvc.manager.copy import NewCopy
from imagesvc.worker import reaper
from tests.crash.line import Line
from tests.crash.station import Station, until
from tests.crash.test_takeover import stop_between_transactions

POINTS = ("step.copy.part",)
MIB = 1 << 20
DATA = random.Random(8).randbytes(36 * MIB + 12_345)  # two windows and a rest
# From a key, to a key; None is plain.
WAYS = (("A", None), (None, "A"), ("A", "B"))


def thinned(often):
    """The ways, of which one is gone by each day."""
    return [pytest.param(way, marks=() if way == often else pytest.mark.peer) for way in WAYS]


def filled(station, way):
    """An image of the first key of `way`, and the id of the second."""
    service, caller = station.service, station.caller
    keys = {name: service.keys.create(caller, name, None, name).info.id for name in way if name}
    wanted = NewImage(name="x", disk_format="raw", container_format="bare", key_id=keys.get(way[0]))
    image = service.images.create(caller, wanted)
    service.image_files.upload(caller, image.id, io.BytesIO(DATA), len(DATA))
    return image.id, keys.get(way[1])


def dead(station, way, point):
    """A copy whose worker died at the point."""
    image_id, key_id = filled(station, way)
    job = station.service.copies.start(station.caller, image_id, NewCopy("y", key_id=key_id))
    assert station.start("worker", point).wait(60) == -9
    return job


def check_whole(station, job, way):
    """The copy has all bytes under its first key; the store holds it and its source."""
    until(lambda: station.job(job.id).finished_at)
    assert (station.job(job.id).state, station.job(job.id).error_text) == ("done", None)
    service = station.service
    with service.image_files.download(station.caller, job.image_id).open() as stream:
        assert stream.read() == DATA
    with service.database.read() as conn:
        source, copy = (
            image_disk.list_for(conn, one)[0] for one in (job.args["source_image_id"], job.image_id)
        )
    assert (copy.hash_value, copy.md5) == (source.hash_value, source.md5)
    ((_, key),) = copy.locations
    assert storage_key.is_encrypted(key) == (way[1] is not None)
    reaper.run(service)
    until(lambda: len(station.objects()) == 2)
    assert not store_verify.verify(service.database, service.backends, older_than_s=0).findings
    return key


@pytest.mark.parametrize("way", thinned(("A", "B")))
def test_the_next_worker_writes_the_rest_of_a_file(tmp_path, way):
    station = Station(tmp_path)
    try:
        job = dead(station, way, "step.copy.part")
        second = station.start("worker")
        assert f"{job.id}-1-0" in check_whole(station, job, way)
        written = dict(
            line.split(": ") for line in Path(f"/proc/{second.pid}/io").read_text().splitlines()
        )
        assert len(DATA) - 16 * MIB <= int(written["wchar"]) < len(DATA) - 14 * MIB
    finally:
        station.stop()


def beside(tmp_path, s3_place, line):
    """An installation that has its bytes in S3, beyond a line."""
    more = s3_place.sections(prefix=f"{uuid.uuid4().hex}/", part_size_mib=5)
    more = more.replace(s3_place.endpoints[0], f"http://127.0.0.1:{line.port}")
    return Station(tmp_path, more=more)


@pytest.mark.parametrize("way", thinned((None, "A")))
def test_the_next_worker_sends_the_rest_to_s3(tmp_path, s3_place, way):
    line = Line(int(s3_place.endpoints[0].rpartition(":")[2]))
    station = beside(tmp_path, s3_place, line)
    try:
        job = dead(station, way, "step.copy.written")
        before = line.sent
        station.start("worker")
        assert f"{job.id}-1-0" in check_whole(station, job, way)
        # Two windows went, six parts and a bit; each of four threads had a part on its way.
        assert line.sent - before < len(DATA) - 9 * MIB
    finally:
        station.stop()
        line.close()


class SlowLine(Line):
    """One on which a copy takes its time, once `slow` is set."""

    slow = False

    def _carry(self, source, target, count):
        super()._carry(source, _Slow(self, target) if count else target, count)


class _Slow:
    """A socket that sends 16 MiB a second."""

    def __init__(self, line, socket):
        self._line, self.shutdown = line, socket.shutdown
        self._send = socket.sendall

    def sendall(self, data):
        if self._line.slow:
            time.sleep(len(data) / (16 * MIB))
        self._send(data)


@pytest.mark.peer
@pytest.mark.parametrize("when", ["while it is gone on with", "afterwards"])
def test_a_stopped_worker_that_wakes_disturbs_nobody_who_goes_on_with_its_write(
    tmp_path, s3_place, when
):
    line, way = SlowLine(int(s3_place.endpoints[0].rpartition(":")[2])), (None, "A")
    station = beside(tmp_path, s3_place, line)
    try:
        image_id, key_id = filled(station, way)
        line.slow = True
        job = station.service.copies.start(station.caller, image_id, NewCopy("y", key_id=key_id))
        before = line.sent
        first = station.start("worker")
        until(lambda: line.sent - before > 12 * MIB)
        stop_between_transactions(station, job, first.pid)
        station.start("worker")
        until(lambda: station.job(job.id).lease_token == 2)
        if when == "afterwards":
            line.slow = False
            until(lambda: station.job(job.id).finished_at)
        os.kill(first.pid, signal.SIGCONT)
        log = station.folder / "worker.log"
        until(lambda: f"job lost to another worker job_id={job.id}" in log.read_text())
        check_whole(station, job, way)
    finally:
        station.stop()
        line.close()
