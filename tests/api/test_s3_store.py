"""An image through the public surface with its bytes in S3."""

import dataclasses
import os
import secrets
import subprocess
import uuid

import pytest

from imagesvc import opts
from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.manager import store_verify
from imagesvc.worker import duplicate
from tests import migrated, s3_server
from tests.api.caller import Caller
from tests.api.identity_driver import TokenIdentity
from tests.api.native.tus import Tus, objects, work

DATA = os.urandom(11 << 20)
CONF = """
[service]
state_dir = {folder}
[database]
url = sqlite:///{folder}/imagesvc.sqlite
[storage]
enabled_backends = main:s3
[storage_main]
endpoint_urls = {endpoints}
bucket = {bucket}
prefix = {prefix}
access_key = {key}
secret_key_file = {folder}/secret
part_size_mib = 5
[identity_local]
path = {folder}/identity.sqlite
[audit_sink_local]
path = {folder}/audit.log
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory, s3_place):
    """A whole service; its `folder` holds the configuration."""
    folder = tmp_path_factory.mktemp("s3")
    for name, text in (("installation.key", secrets.token_hex(32)), ("secret", s3_server.SECRET)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    (folder / "imagesvc.conf").write_text(
        CONF.format(
            folder=folder,
            endpoints=",".join(s3_place.endpoints),
            bucket=s3_place.bucket,
            prefix=f"{uuid.uuid4().hex}/",
            key=s3_server.KEY,
        )
    )
    conf = opts.load(folder / "imagesvc.conf")
    migrated.make(conf.database.url)
    service = services.build(conf, monitor=False)
    yield service
    service.close()


@pytest.fixture
def owner(built):
    """A caller of its API."""
    known = dataclasses.replace(built, identity=TokenIdentity(None, backend_id="test"))
    return Caller(door.create_app(known))


def compared(service):
    """Where rows and bytes differ."""
    return store_verify.verify(service.database, service.backends, older_than_s=0).findings


def test_an_image_comes_back_whole_and_in_ranges(owner, built):
    path = f"/v2/images/{owner.active(DATA)}/file"
    assert owner.get(path).content == DATA
    for first, last in ((0, 0), (5_000_000, 6_000_000), (len(DATA) - 3, len(DATA) - 1)):
        part = owner.get(path, headers={"Range": f"bytes={first}-{last}"})
        assert (part.status_code, part.content) == (206, DATA[first : last + 1])
    assert owner.get(path, headers={"Range": f"bytes={len(DATA)}-"}).status_code == 416
    assert compared(built) == []


def test_the_store_copies_an_image_by_itself(owner, built, monkeypatch):
    monkeypatch.setattr(duplicate, "send", lambda *_: pytest.fail("the bytes were sent"))
    image_id = owner.active(DATA)
    path = f"/imagesvc/v1/images/{image_id}/copy"
    copy_id = owner.request("POST", path, {"name": "copy"}).json["image_id"]
    work(built)
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert owner.get(f"/v2/images/{copy_id}/file").content == DATA
    assert compared(built) == []


def test_a_deleted_image_leaves_no_bytes(owner, built):
    before = {found.key for found in built.backends.storage().list()}
    image_id = owner.active(DATA)
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert {found.key for found in built.backends.storage().list()} == before


@pytest.fixture
def qcow2(tmp_path):
    """The bytes of a qcow2 with some content."""
    raw, made = tmp_path / "raw", tmp_path / "qcow2"
    raw.write_bytes(os.urandom(1 << 20))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, made], check=True)
    return made.read_bytes()


def test_a_structured_image_is_examined_though_it_shows_only_after_the_commit(owner, built, qcow2):
    good = owner.active(qcow2, disk_format="qcow2")
    assert owner.get(f"/v2/images/{good}/file").content == qcow2
    image_id = owner.create(disk_format="qcow2")["id"]
    # The tables of clusters are gone: the head alone looks right.
    refused = owner.upload(image_id, qcow2[:65536] + bytes(len(qcow2) - 65536))
    assert refused.status_code in (400, 409, 415, 422), refused.text
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    assert not [one for one in built.backends.storage().list() if one.key.startswith(image_id)]


def test_a_resumable_upload_comes_in_pieces_of_any_size(owner, built):
    tus = Tus(owner)
    path, image_id = tus.begin(len(DATA))
    at = 0
    for size in (1, 70_000, 5 << 20, 3, len(DATA)):
        piece = DATA[at : at + size]
        assert tus.patch(path, at, piece).status_code == 204
        at += len(piece)
        assert tus.offset(path) == at
        assert compared(built) == []
    work(built)
    assert owner.get(f"/v2/images/{image_id}/file").content == DATA
    assert len(objects(built, image_id)) == 1
    assert compared(built) == []


def test_a_resumable_upload_of_a_damaged_image_leaves_no_bytes(owner, built, qcow2):
    tus = Tus(owner)
    damaged = qcow2[:65536] + bytes(len(qcow2) - 65536)
    _, image_id, answer = tus.whole(damaged, image={"disk_format": "qcow2"})
    work(built)
    assert tus.job(answer)["state"] == "failed"
    assert (tus.status(image_id), objects(built, image_id)) == ("queued", [])
    assert compared(built) == []


def test_config_check_knows_the_backend(built):
    conf = f"{built.conf.service.state_dir}/imagesvc.conf"
    done = subprocess.run(
        ["imagesvc-manage", "--config-file", conf, "config", "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "backend storage:main" in done.stdout, done.stdout + done.stderr
    [line] = [line for line in done.stdout.splitlines() if "backend storage:main" in line]
    assert line.startswith("ok"), line
    assert s3_server.SECRET not in done.stdout + done.stderr


def test_backend_check_holds_it_to_its_laws(built):
    conf = f"{built.conf.service.state_dir}/imagesvc.conf"
    done = subprocess.run(
        ["imagesvc-manage", "--config-file", conf, "backend", "check", "storage", "main"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout
    assert not [one for one in built.backends.storage().list() if "check" in one.key]
