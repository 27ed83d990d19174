"""An image in a store with a mirror: two copies, and each is repaired from the other."""

import os
import shutil

import pytest

from imagesvc import opts
from imagesvc.cmd import manage
from imagesvc.context import RequestContext
from imagesvc.db import image_disk
from imagesvc.manager import store_verify
from imagesvc.worker import reaper
from tests import open_job
from tests.api.caller import Caller

DATA = bytes(range(250)) * 4
MORE = """
[storage_plain]
mirror_directory = {folder}/mirror
"""


@pytest.fixture
def settings(tmp_path):
    """The default store has a mirror."""
    return MORE.format(folder=tmp_path)


@pytest.fixture
def owner(own):
    return Caller(own.app)


@pytest.fixture
def image_id(owner):
    return owner.active(DATA)


def disk_of(own, image_id):
    with own.service.database.read() as conn:
        return image_disk.list_for(conn, image_id)[0]


def file_of(own, image_id, number):
    ((_, key),) = disk_of(own, image_id).locations
    root = own.folder / ("plain", "mirror")[number]
    return root / "object" / key.replace("/", "+")


def flip(own, image_id, number):
    path = file_of(own, image_id, number)
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)


def source_of(own, owner, image_id):
    """The image as drivers get it."""
    ctx = RequestContext("u", owner.project, frozenset({"member"}))
    image = own.service.images.get(ctx, image_id)
    return own.service.image_files.image_source(ctx, image, job_id=open_job.begin(own.service, ctx))


@pytest.fixture
def command(own, monkeypatch, capsys):
    """Run imagesvc-manage: its code, and what it printed."""

    def run(*words):
        monkeypatch.setenv(opts.CONF_VARIABLE, "")
        capsys.readouterr()
        path = str(own.folder / "imagesvc.conf")
        code = manage.main(["--config-file", path, *words])
        out, err = capsys.readouterr()
        return code, out + err

    return run


def files(own):
    """How many objects each directory has."""
    return [len(list((own.folder / name / "object").iterdir())) for name in ("plain", "mirror")]


def test_a_mirror_is_a_second_copy_without_a_warning(own, owner, image_id, command):
    found = owner.get(f"/imagesvc/v1/images/{image_id}").json["image"]
    assert (found["good_copies"], found["stores"], found["warnings"]) == (2, ["plain"], [])
    assert [one["number"] for one in found["disks"][0]["copies"]] == [0, 1]
    said = command("config", "check")[1]
    assert "by number of good copies: 1 with 2" in said
    assert "warning  store plain" in said
    assert "on one device" in said
    for number in (0, 1):
        assert file_of(own, image_id, number).read_bytes() == DATA


@pytest.mark.parametrize("number", [0, 1])
def test_a_flipped_bit_in_one_directory_is_marked_then_repaired_from_the_other(
    own, owner, image_id, command, number
):
    flip(own, image_id, number)
    code, said = command("image", "scrub")
    assert code == 1
    assert said.count("corrupt") == 1
    assert ("copy 1: disk 0" in said) == (number == 1)
    (mark,) = disk_of(own, image_id).damages
    assert (mark.number, mark.fault) == (number, "corrupt")
    for headers, wanted in (({}, DATA), ({"Range": "bytes=495-504"}, DATA[495:505])):
        assert owner.get(f"/v2/images/{image_id}/file", headers=headers).content == wanted
    code, said = command("image", "scrub", "--repair")
    assert (code, "repaired from plain" in said) == (0, True)
    assert disk_of(own, image_id).damages == ()
    for one in (0, 1):
        assert file_of(own, image_id, one).read_bytes() == DATA
    reaper.run(own.service)
    assert files(own) == [1, 1]
    assert command("image", "scrub") == (
        0, "1 images, 2 copies, 2000 bytes read; 0 bad, 0 repaired, 0 not judged\n"
    )  # fmt: skip


def test_both_copies_bad_are_a_damaged_image(own, owner, image_id, command):
    for number in (0, 1):
        flip(own, image_id, number)
    code, said = command("image", "scrub", "--repair")
    assert (code, said.count("not repaired")) == (1, 2)
    assert owner.get(f"/v2/images/{image_id}/file").status_code == 500
    found = owner.get(f"/imagesvc/v1/images/{image_id}").json["image"]
    assert (found["damaged"], found["good_copies"]) == (True, 0)


def test_two_bad_copies_of_one_object_are_repaired_at_once_from_another_store(own, owner, command):
    admin = Caller(own.app, owner.project, "admin")
    image_id = owner.create()["id"]
    assert owner.upload(image_id, DATA).status_code == 204
    wanted = {"method": {"name": "copy-image"}, "stores": ["archive"]}
    assert admin.request("POST", f"/v2/images/{image_id}/import", wanted).status_code == 202
    own.work()
    places = dict(disk_of(own, image_id).locations)
    for name in ("plain", "mirror"):
        path = own.folder / name / "object" / places["plain"].replace("/", "+")
        path.chmod(0o600)
        path.write_bytes(DATA[:-1] + b"?")
    code, said = command("image", "scrub", "--repair")
    assert (code, said.count("repaired from archive")) == (0, 2)
    assert owner.get(f"/v2/images/{image_id}/file", query_string="prefer=plain").content == DATA


def test_a_lost_mirror_is_told_and_filled_by_the_reaper(own, owner, image_id, command):
    file_of(own, image_id, 1).unlink()
    code, said = command("store", "verify")
    assert (code, "copy        plain" in said) == (1, True)
    store = own.service.backends.storage("plain")
    assert store.discard_stale(older_than_s=0) == 1
    assert command("store", "verify")[0] == 0
    assert file_of(own, image_id, 1).read_bytes() == DATA


def test_a_lost_directory_is_survived(own, owner, image_id):
    shutil.rmtree(own.folder / "plain")
    assert owner.get(f"/v2/images/{image_id}/file").content == DATA
    source = source_of(own, owner, image_id)
    assert source.local_path.read_bytes() == DATA


def test_a_file_of_a_mirror_that_was_cut_short_is_not_given_as_the_image(own, owner, image_id):
    path = file_of(own, image_id, 0)
    path.chmod(0o600)
    os.truncate(path, 500)
    source = source_of(own, owner, image_id)
    assert source.local_path is None
    assert owner.get(source.url[source.url.index("/imagesvc/v1/") :]).content == DATA


def test_the_kernel_can_send_either_copy(own, owner, image_id):
    ctx = RequestContext("u", owner.project, frozenset({"member"}))
    for number in (0, 1):
        with own.service.image_files.download(ctx, image_id).open(10, 5) as file:
            assert os.path.samestat(os.fstat(file.fileno()), file_of(own, image_id, number).stat())
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 10
        file_of(own, image_id, 0).unlink(missing_ok=True)


def test_what_is_deleted_goes_from_both(own, owner, image_id):
    assert files(own) == [1, 1]
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    reaper.run(own.service)
    assert files(own) == [0, 0]
    service = own.service
    assert store_verify.verify(service.database, service.backends, older_than_s=0).findings == []
