"""Resumable uploads by clients as they come: tuspy, unmodified, and our own command."""

import io
import json
import os

import pytest
import requests
from tusclient import client as tus_client
from tusclient import exceptions

from imagesvc.shell import upload_state

MIB = 1 << 20
DATA = os.urandom(5 * MIB + 3)


class Door:
    """The service as tuspy is given it."""

    def __init__(self, running):
        self.root = f"http://127.0.0.1:{running.port}"
        token = running.openstack("token", "issue", "-f", "value", "-c", "id").strip()
        self.headers = {"X-Auth-Token": token}
        self.client = tus_client.TusClient(f"{self.root}/imagesvc/v1/uploads", headers=self.headers)

    def create(self):
        """A queued image."""
        body = {"name": "t", "disk_format": "raw", "container_format": "bare"}
        answer = requests.post(
            f"{self.root}/v2/images", json=body, headers=self.headers, timeout=30
        )
        return answer.json()["id"]

    def uploader(self, image_id, data=DATA, **more):
        """tuspy's own."""
        return self.client.uploader(
            file_stream=io.BytesIO(data), metadata={"image_id": image_id}, **more
        )

    def offset(self, url):
        """Where an upload stands."""
        headers = {**self.headers, "Tus-Resumable": "1.0.0"}
        return int(requests.head(url, headers=headers, timeout=30).headers["Upload-Offset"])


@pytest.fixture(scope="module")
def door(running_service):
    """The service and a token."""
    return Door(running_service)


def whole(running, door, image_id, url):
    """The image has all bytes."""
    headers = {**door.headers, "Tus-Resumable": "1.0.0"}
    job = requests.head(url, headers=headers, timeout=30).headers["X-Job-Id"]
    running.imagesvc("job", "wait", job)
    found = requests.get(f"{door.root}/v2/images/{image_id}/file", headers=door.headers, timeout=60)
    assert found.content == DATA


@pytest.mark.parametrize("checksum", [False, True])
def test_tuspy_uploads_in_chunks(running_service, door, checksum):
    image_id = door.create()
    uploader = door.uploader(image_id, chunk_size=2 * MIB, upload_checksum=checksum)
    uploader.upload()
    whole(running_service, door, image_id, uploader.url)


def test_tuspy_goes_on_where_another_tuspy_ended(running_service, door):
    image_id = door.create()
    first = door.uploader(image_id, chunk_size=2 * MIB)
    first.upload_chunk()
    assert door.offset(first.url) == 2 * MIB
    second = door.uploader(image_id, chunk_size=10 * MIB, url=first.url)
    assert second.offset == 2 * MIB
    second.upload()
    whole(running_service, door, image_id, first.url)


def test_tuspy_hears_a_refusal(door):
    with pytest.raises(exceptions.TusCommunicationError) as refused:
        door.uploader("00000000-0000-4000-8000-000000000000").upload()
    assert refused.value.status_code == 404


def test_the_command_uploads_a_file_as_an_image(running_service, tmp_path):
    file = tmp_path / "disk.raw"
    file.write_bytes(DATA)
    told = json.loads(
        running_service.imagesvc(
            "image", "upload", file, "--disk-format", "raw", "--piece-size", "1", "--wait",
            "-f", "json",
        )
    )  # fmt: skip
    assert told["size_bytes"] == told["sent_bytes"] == len(DATA)
    image = running_service.json("image", "show", told["image_id"])
    assert (image["name"], image["status"], image["size"]) == ("disk.raw", "active", len(DATA))


def test_the_command_takes_a_queued_image_and_a_digest(running_service, door, tmp_path):
    image_id, file = door.create(), tmp_path / "disk.raw"
    file.write_bytes(DATA)
    words = ("image", "upload", file, "--image", image_id, "--wait")
    refused = running_service.run(
        "imagesvc", "--os-cloud", "demo", *words, "--sha256", "0" * 64, check=False
    )
    assert (refused.returncode, b"digest" in refused.stderr) == (1, True)
    running_service.imagesvc(*words)
    assert running_service.json("image", "show", image_id)["status"] == "active"


def test_the_command_finds_an_upload_that_nothing_remembers(running_service, door, tmp_path):
    image_id, file = door.create(), tmp_path / "disk.raw"
    file.write_bytes(DATA)
    door.uploader(image_id, chunk_size=2 * MIB).upload_chunk()
    told = running_service.json(
        "image", "upload", file, "--image", image_id, "--wait", command="imagesvc"
    )
    assert told["sent_bytes"] == len(DATA) - 2 * MIB


@pytest.fixture
def remembered(door, tmp_path, monkeypatch):
    """A file, and how to make the command remember an upload of it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = tmp_path / "disk.raw"
    file.write_bytes(DATA)
    state = upload_state.UploadState(file, file.stat(), "demo")
    return file, lambda *ids: state.write(upload_state.Remembered(*ids))


def test_the_command_goes_on_or_begins_anew_as_it_is_told(running_service, door, remembered):
    file, remember = remembered
    for option, again in (("--resume", 2 * MIB), ("--no-resume", 0)):
        image_id = door.create()
        uploader = door.uploader(image_id, chunk_size=2 * MIB)
        uploader.upload_chunk()
        remember(image_id, uploader.url.rpartition("/")[2])
        words = ("image", "upload", file, option, "--wait")
        told = running_service.json(*words, command="imagesvc")
        assert (told["image_id"], told["sent_bytes"]) == (image_id, len(DATA) - again)


def test_the_command_begins_anew_where_the_upload_is_gone(running_service, door, remembered):
    file, remember = remembered
    image_id = door.create()
    remember(image_id, "gone")
    told = running_service.json("image", "upload", file, "--wait", command="imagesvc")
    assert (told["image_id"], told["sent_bytes"]) == (image_id, len(DATA))


def test_the_command_forgets_an_image_that_is_gone(running_service, remembered):
    file, remember = remembered
    remember("00000000-0000-4000-8000-000000000000", "gone")
    words = ("imagesvc", "--os-cloud", "demo", "image", "upload", file, "--disk-format", "raw")
    assert running_service.run(*words, check=False).returncode == 1
    running_service.run(*words)


def test_the_command_tells_in_a_sentence_what_is_wrong(running_service, tmp_path):
    file = tmp_path / "disk.raw"
    file.write_bytes(b"x" * 1000)
    for words, text in (
        ((tmp_path / "none", "--disk-format", "raw"), b"cannot be read"),
        ((file,), b"needs --disk-format"),
        ((file, "--disk-format", "raw", "--resume"), b"no upload of"),
        ((file, "--disk-format", "none-such"), b"disk_format must be one of"),
    ):
        done = running_service.run(
            "imagesvc", "--os-cloud", "demo", "image", "upload", *words, check=False
        )
        assert (done.returncode, text in done.stderr) == (1, True), done.stderr
