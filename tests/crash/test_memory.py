"""Memory of an API process stays where it is, whatever passes through it."""

import json
import os
from pathlib import Path

import pytest

from imagesvc.domain.image import NewImage
from tests.crash.station import until

pytestmark = [pytest.mark.slow, pytest.mark.peer]

ROUNDS = 100  # of each kind, before and between the looks
IMAGES = 1000
DATA = os.urandom(2 << 20)
GROWTH_MAX_BYTES = 8 << 20


def resident_bytes(pid):
    """Resident memory of a process and what it started."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    total = pages * os.sysconf("SC_PAGE_SIZE")
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += sum(
            resident_bytes(int(child)) for child in (task / "children").read_text().split()
        )
    return total


def pass_through(station, headers):
    """One image up and away again, and a page as long as pages get."""
    octets = headers | {"Content-Type": "application/octet-stream"}
    body = json.dumps({"disk_format": "raw", "container_format": "bare"})
    image_id = json.loads(station.call("POST", "/v2/images", body, headers)[2])["id"]
    assert station.call("PUT", f"/v2/images/{image_id}/file", DATA, octets)[0] == 204
    status, _, page = station.call("GET", "/v2/images?limit=1000", headers=headers)
    assert (status, len(json.loads(page)["images"])) == (200, 1000)
    assert station.call("DELETE", f"/v2/images/{image_id}", headers=headers)[0] == 204


def test_resident_memory_is_flat_over_200_uploads_and_200_lists_of_1000(station):
    for number in range(IMAGES):
        station.service.images.create(station.caller, NewImage(name=f"image {number}"))
    process = station.start("api")
    until(station.ready)
    headers = {"X-Auth-Token": station.token(), "Content-Type": "application/json"}
    seen = []
    for _ in range(2):
        for _ in range(ROUNDS):
            pass_through(station, headers)
        seen.append(resident_bytes(process.pid))
    assert seen[1] - seen[0] < GROWTH_MAX_BYTES
