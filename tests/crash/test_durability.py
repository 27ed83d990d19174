"""What stands on stable storage before an upload is answered, in the order of system calls."""

import json
import os
import re
import signal

from tests.crash.station import until

CALLS = "pwrite64,write,writev,fsync,fdatasync,link,linkat,rename,renameat2,sendto,sendmsg,unlink"
DATA = os.urandom(2_500_000)
# Each in turn is looked for after the one before. With -y strace says what a descriptor is.
ORDER = {
    "the bytes are written": r"pwrite64\(\d+<\S+/store/\.part/",
    "the file is on the disk": r"fsync\(\d+<\S+/store/\.part/",
    "the file gets its name": r"(link|rename)\w*\(.*/store/\.part/.*/store/object/",
    "the name is on the disk": r"fsync\(\d+<\S+/store/object>",
    "the row is written": r"pwrite64\(\d+<\S+\.sqlite-wal>",
    "the row is on the disk": r"fdatasync\(\d+<\S+\.sqlite-wal>",
    "the answer is sent": r'(sendto|sendmsg|write)\(\d+<socket:\S+, "HTTP/1\.1 204',
}


def trace(station, tmp_path):
    """The system calls of an API process while it takes one upload."""
    out = tmp_path / "trace"
    station.start(
        "api", under=["strace", "-f", "-y", "-s", "24", "-e", f"trace={CALLS}", "-o", out]
    )
    until(station.ready)
    headers = {"X-Auth-Token": station.token(), "Content-Type": "application/json"}
    body = json.dumps({"name": "x", "disk_format": "raw", "container_format": "bare"})
    image_id = json.loads(station.call("POST", "/v2/images", body, headers)[2])["id"]
    headers["Content-Type"] = "application/octet-stream"
    assert station.call("PUT", f"/v2/images/{image_id}/file", DATA, headers)[0] == 204
    until(lambda: re.search(ORDER["the answer is sent"], out.read_text("utf-8", "replace")))
    (strace,) = station.processes
    # strace passes no signal on: its child is the server.
    os.kill(child_of(strace.pid), signal.SIGTERM)
    strace.wait(30)
    return [line for line in out.read_text("utf-8", "replace").splitlines() if "exited" not in line]


def child_of(pid):
    """The first child of a process."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return int(children.read().split()[0])


def first(lines, pattern, after):
    """Number of the first line behind `after` with the pattern; None if there is none."""
    return next((n for n in range(after, len(lines)) if re.search(pattern, lines[n])), None)


def test_an_upload_is_on_stable_storage_before_it_is_answered(station, tmp_path):
    lines = trace(station, tmp_path)
    at = -1
    places = {}
    for what, pattern in ORDER.items():
        found = first(lines, pattern, at + 1)
        assert found is not None, f"{what}: not found behind {places}"
        places[what] = at = found
    written, synced = places["the bytes are written"], places["the file is on the disk"]
    part = re.search(r"/store/\.part/[0-9a-f-]+", lines[written]).group()
    # Nothing of the file is written behind its sync, and no other sync of the rows is missing.
    late = [n for n in range(synced, len(lines)) if "pwrite64" in lines[n] and part in lines[n]]
    assert late == []
    committed, answered = places["the row is on the disk"], places["the answer is sent"]
    behind = [
        n for n in range(committed + 1, answered)
        if re.search(ORDER["the row is written"], lines[n])
    ]  # fmt: skip
    assert not behind or first(lines, ORDER["the row is on the disk"], behind[-1]) < answered
