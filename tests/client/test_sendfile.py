"""The kernel sends stored files: no byte of a download passes through the process."""

import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def descendants(pid):
    """The process and all that it started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += descendants(int(child))
    return found


@pytest.fixture
def traced(running_service, tmp_path):
    """A function that does something and gives the service's calls of sendfile meanwhile."""
    path = tmp_path / "trace"

    def calls(action):
        pids = descendants(running_service.supervisor.pid)
        command = ["strace", "-f", "-e", "trace=sendfile", "-o", str(path)]
        command += [word for pid in pids for word in ("-p", str(pid))]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            try:
                for _ in pids:  # one line for each process that it holds
                    assert "attached" in tracer.stderr.readline()
                action()
            finally:
                tracer.terminate()
        sent = re.findall(r"sendfile\(.*\) += (\d+)", path.read_text())
        return [int(count) for count in sent]

    return calls


@pytest.mark.parametrize(
    ("header", "part"),
    [(None, slice(None)), ("bytes=7-1048600", slice(7, 1048601)), ("bytes=-9", slice(-9, None))],
)
def test_downloads_whole_and_in_part_are_sent_by_the_kernel(
    running_service, raw_image, traced, header, part
):
    words = ("image", "create", "--disk-format", "raw", "--file", raw_image, "sendfile")
    image_id = running_service.json(*words)["id"]
    token = running_service.openstack("token", "issue", "-f", "value", "-c", "id").strip()
    url = f"http://127.0.0.1:{running_service.port}/v2/images/{image_id}/file"
    headers = {"X-Auth-Token": token} | ({"Range": header} if header else {})
    got = []

    def download():
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            got.append(answer.read())

    sent = traced(download)
    assert got == [raw_image.read_bytes()[part]]
    assert sum(sent) == len(got[0])
    running_service.openstack("image", "delete", image_id)
