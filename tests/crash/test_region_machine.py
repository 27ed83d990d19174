"""A whole machine goes into another region and boots there as it was."""

import pytest

from imagesvc.domain.server import DataDisk
from tests.crash.station import until
from tests.crash.test_capture import create, run_here, upload
from tests.crash.test_region import Pair, ready


class MachinePair(Pair):
    """The image that is copied is of a server with a data disk, on which a guest has written."""

    def __init__(self, folder, guest):
        self.guest = guest
        super().__init__(folder)

    def make_image(self):
        """Boot it, let it write on its second disk, and capture both."""
        east = self.east
        source = upload(east, self.guest)
        server_id = booted(east, source, data_disks=(DataDisk(source.id),))
        driver, project_id = east.service.backends.compute(), east.caller.project_id
        driver.write_console(server_id, b"Dtravels\n", project_id=project_id)
        until(lambda: b"OK" in console(east, server_id))
        image, job = east.service.captures.start(
            east.caller, server_id=server_id, name="machine", whole=True
        )
        done(east, job)
        return image.id


def console(station, server_id):
    """What a guest has said."""
    driver = station.service.backends.compute()
    return driver.read_console(server_id, project_id=station.caller.project_id)


def done(station, job):
    """Work until a job is done; its result."""
    ended = run_here(station, job)
    assert (ended.state, ended.error_text) == ("done", None)
    return ended.result


def booted(station, image, **options):
    """A server that has booted."""
    [server] = done(station, create(station, image, **options))["servers"]
    assert server["server_id"], server
    until(lambda: b"\n" in console(station, server["server_id"]).partition(b"IMAGESVC-BOOT")[2])
    return server["server_id"]


@pytest.mark.peer
def test_a_whole_machine_boots_in_the_other_region_with_what_is_on_both_disks(tmp_path, guest):
    pair = MachinePair(tmp_path, guest)
    try:
        ready(pair)
        pair.west.start("worker")
        copied = done(pair.east, pair.job)
        pair.west.end_processes()
        west = pair.west
        [image] = pair.images()
        assert (image.id, image.kind) == (copied["image_id"], "whole-machine")
        west.caller = pair.member
        server_id = booted(west, image)
        assert b"boots=00002 marker=(empty) disk2=travels" in console(west, server_id)
    finally:
        pair.stop()
