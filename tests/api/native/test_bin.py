"""Deleted images rest in the bin: gone for everybody, whole for their owner until the term ends."""

import dataclasses
import datetime
import pathlib
from concurrent import futures

import pytest
import sqlalchemy as sa

from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.context import RequestContext
from imagesvc.db import image_table, metadata
from imagesvc.manager import image_scrub, quota_verify, store_verify
from imagesvc.manager.copy_mark import CopyMarks
from imagesvc.worker import bin as chore
from imagesvc.worker import reaper
from tests import migrated
from tests.api.caller import Caller
from tests.api.conftest import configure
from tests.api.identity_driver import TokenIdentity
from tests.api.native.tus import work

ROOT = "/imagesvc/v1"
TERM = "[bin]\nterm_s = 3600\n[worker]\nreap_interval_s = 0.1\n"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def binning(request, tmp_path_factory):
    """A service on each engine that keeps deleted images for an hour."""
    more = TERM
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql_server")
        more += (
            f"[database]\nurl = {server.create(request.getfixturevalue('postgresql_template'))}\n"
        )
    conf = configure(tmp_path_factory.mktemp("bin"), more)
    migrated.make(conf.database.url)
    made = services.build(conf, monitor=False)
    yield dataclasses.replace(made, identity=TokenIdentity(None, backend_id="test"))
    made.close()


@pytest.fixture
def owner(binning):
    return Caller(door.create_app(binning))


@pytest.fixture
def admin(owner):
    return Caller(owner.client.app, None, "admin", "member")


def _delete(caller, image_id):
    found = caller.request("DELETE", f"/v2/images/{image_id}")
    assert found.status_code == 204, found.text


def _undo(caller, image_id):
    return caller.request("POST", f"{ROOT}/bin/{image_id}/undo")


def _binned(caller):
    return [one["id"] for one in caller.get(f"{ROOT}/bin").json["images"]]


def _quota(service, caller):
    ctx = RequestContext("u", caller.project, frozenset({"member"}))
    found = service.quotas.show(ctx, caller.project)
    return {str(one.resource): (one.used, one.reserved) for one in found}


def _clean(service):
    assert store_verify.verify(service.database, service.backends, older_than_s=0).findings == []
    assert quota_verify.verify(service.database) == ()


def _end_term(service, image_id):
    past = metadata.now() - datetime.timedelta(seconds=1)
    table = image_table.TABLE
    with service.database.write() as conn:
        conn.execute(sa.update(table).where(table.c.id == image_id).values(bin_until=past))


def test_a_deleted_image_is_gone_for_everybody_and_comes_back_as_it_was(binning, owner):
    image_id, member = owner.active(b"kept", tags=["a"], colour="red"), Caller(owner.client.app)
    owner.share(image_id, member.project, "accepted")
    before = owner.get(f"/v2/images/{image_id}").json
    _delete(owner, image_id)
    for caller in (owner, member):
        assert caller.get(f"/v2/images/{image_id}").status_code == 404
        assert caller.get(f"/v2/images/{image_id}/file").status_code == 404
        assert caller.get(f"/v2/images/{image_id}/members").status_code == 404
        assert image_id not in caller.listed()
    assert member.get(f"{ROOT}/images/{image_id}").status_code == 404
    assert _quota(binning, owner) == {"images": (0, 0), "stored_bytes": (4, 0), "uploads": (0, 0)}
    _clean(binning)
    assert _binned(owner) == [image_id]
    assert _binned(member) == []
    shown = owner.get(f"{ROOT}/bin/{image_id}").json["image"]
    assert (shown["status"], shown["deleted_by_project"]) == ("active", owner.project)
    back = _undo(owner, image_id)
    assert back.json["image"]["status"] == "active", back.text
    after = owner.get(f"/v2/images/{image_id}").json
    assert before | {"updated_at": ""} == after | {"updated_at": ""}
    assert member.get(f"/v2/images/{image_id}/file").content == b"kept"
    assert _binned(owner) == []
    assert _undo(owner, image_id).status_code == 404
    assert _quota(binning, owner)["images"] == (1, 0)
    _clean(binning)


def test_a_deactivated_image_comes_back_deactivated(owner):
    image_id = owner.active()
    owner.request("POST", f"/v2/images/{image_id}/actions/deactivate")
    _delete(owner, image_id)
    assert _undo(owner, image_id).json["image"]["status"] == "deactivated"
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "deactivated"


def test_what_has_no_bytes_is_gone_at_once(owner):
    image_id = owner.create()["id"]
    _delete(owner, image_id)
    assert _undo(owner, image_id).status_code == 404


def test_a_purge_on_demand_removes_record_and_bytes(binning, owner):
    image_id = owner.active(b"12345")
    _delete(owner, image_id)
    found = owner.request("POST", f"{ROOT}/bin/{image_id}/purge")
    assert found.status_code == 202, found.text
    again = owner.request("POST", f"{ROOT}/bin/{image_id}/purge")
    assert again.json["job"]["id"] == found.json["job"]["id"]
    work(binning)
    job = owner.get(f"{ROOT}/jobs/{found.json['job']['id']}").json["job"]
    assert (job["type"], job["state"]) == ("purge-image", "done")
    assert _binned(owner) == []
    assert _undo(owner, image_id).status_code == 404
    assert _quota(binning, owner)["stored_bytes"] == (0, 0)
    assert not [one for one in binning.backends.storage().list() if one.key.startswith(image_id)]
    _clean(binning)


def test_the_worker_purges_what_has_its_term_behind_it_and_nothing_else(binning, owner):
    over, resting = owner.active(b"over"), owner.active(b"resting")
    _delete(owner, over)
    _delete(owner, resting)
    _end_term(binning, over)
    assert binning.bins.purge_due(100) >= 1
    assert binning.bins.purge_due(100) == 0  # its job is on the way
    work(binning)
    reaper.run(binning)
    assert _binned(owner) == [resting]
    assert _undo(owner, resting).status_code == 200
    chore.run(binning)
    _clean(binning)


def test_an_image_that_came_back_outlives_its_purge(binning, owner):
    image_id = owner.active(b"12345")
    _delete(owner, image_id)
    owner.request("POST", f"{ROOT}/bin/{image_id}/purge")
    assert _undo(owner, image_id).status_code == 200
    _delete(owner, image_id)  # the job that was handed in is of the first time
    work(binning)
    assert _binned(owner) == [image_id]
    assert _undo(owner, image_id).status_code == 200
    assert owner.get(f"/v2/images/{image_id}/file").content == b"12345"


def test_the_bin_is_its_owners_and_the_administrators(owner, admin):
    image_id, stranger = owner.active(visibility="community"), Caller(owner.client.app)
    reader = Caller(owner.client.app, owner.project, "reader")
    _delete(owner, image_id)
    for path in ("", "/undo", "/purge"):
        method = "POST" if path else "GET"
        assert stranger.request(method, f"{ROOT}/bin/{image_id}{path}").status_code == 404
    assert reader.get(f"{ROOT}/bin/{image_id}").status_code == 200
    assert _undo(reader, image_id).status_code == 403
    assert image_id in _binned(admin)
    assert _undo(admin, image_id).status_code == 200


def test_pages_of_the_bin_follow_each_other(owner):
    ids = sorted(owner.active() for _ in range(3))
    for image_id in ids:
        _delete(owner, image_id)
    first = owner.get(f"{ROOT}/bin", query_string="limit=2").json
    rest = owner.get(f"{ROOT}/bin", query_string=f"limit=2&marker={first['next']}").json
    assert [one["id"] for one in first["images"] + rest["images"]] == ids
    assert owner.get(f"{ROOT}/bin", query_string="marker=nothing").status_code == 400


def test_an_image_comes_back_only_where_the_project_has_room_for_it(binning, owner, admin):
    image_id = owner.active()
    _delete(owner, image_id)
    owner.create()
    admin.request("PUT", f"{ROOT}/quota/{owner.project}", {"images": 1})
    assert _undo(owner, image_id).status_code == 413
    assert _binned(owner) == [image_id]
    admin.request("PUT", f"{ROOT}/quota/{owner.project}", {"images": 2})
    assert _undo(owner, image_id).status_code == 200
    _clean(binning)


def test_the_bytes_in_the_bin_fill_the_quota(owner, admin):
    admin.request("PUT", f"{ROOT}/quota/{owner.project}", {"stored_bytes": 1500})
    image_id = owner.active(b"x" * 1000)
    _delete(owner, image_id)
    assert owner.upload(owner.create()["id"], b"y" * 1000).status_code == 413


def test_a_protected_image_does_not_go_into_the_bin(owner):
    image_id = owner.active(protected=True)
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 403
    assert _binned(owner) == []


def test_an_image_that_comes_back_is_promised_as_it_was(owner, admin):
    until = (metadata.now() + datetime.timedelta(days=2)).date().isoformat()
    image_id = owner.active(provided_until=until)
    path = f"{ROOT}/images/{image_id}"
    broken = admin.request("DELETE", path, query_string="break_promise=wrong%20image")
    assert broken.status_code == 204
    assert _undo(owner, image_id).status_code == 200
    assert owner.request("DELETE", path).status_code == 409


def test_a_scrub_reads_what_is_in_the_bin_and_marks_it(binning, owner):
    image_id = owner.active(b"good bytes")
    _delete(owner, image_id)
    (item,) = [one for one in binning.backends.storage().list() if one.key.startswith(image_id)]
    path = binning.conf.storage_local.directory
    found = []
    marks = CopyMarks(binning.operation)
    scrub = image_scrub.ImageScrub(binning.database, binning.backends, marks, found.append)
    assert scrub.run(image_id=image_id).copies == 1
    assert found == []
    (file,) = [
        one
        for one in pathlib.Path(path).rglob("*")
        if item.key.split("/")[1] in str(one) and one.is_file()
    ]
    file.chmod(0o600)
    file.write_bytes(b"evil bytes")
    assert scrub.run(image_id=image_id).bad == 1
    assert _undo(owner, image_id).status_code == 200
    assert owner.get(f"{ROOT}/images/{image_id}").json["image"]["damaged"] is True
    owner.request("DELETE", f"/v2/images/{image_id}")
    owner.request("POST", f"{ROOT}/bin/{image_id}/purge")
    work(binning)


def test_a_deleted_id_says_when_by_whom_and_what_takes_its_place(binning, owner, admin):
    image_id, newer = owner.active(b"old"), owner.active(b"new")
    table = image_table.TABLE
    with binning.database.write() as conn:
        family = sa.update(table).where(table.c.id.in_([image_id, newer])).values(family="debian")
        conn.execute(family)
    _delete(owner, image_id)
    stranger = Caller(owner.client.app)
    for purged in (False, True):
        for caller in (owner, admin):
            found = caller.get(f"{ROOT}/images/{image_id}")
            assert found.status_code == 410, found.text
            error = found.json["error"]
            assert error["reason"] == "image-deleted"
            told = error["deleted"]
            assert told["successor_id"] == newer
            assert told["deleted_by_project"] == owner.project
            assert (told["bin_until"] is None) == purged
            assert newer in error["message"]
        assert stranger.get(f"{ROOT}/images/{image_id}").status_code == 404
        assert owner.get(f"/v2/images/{image_id}").status_code == 404
        if not purged:
            owner.request("POST", f"{ROOT}/bin/{image_id}/purge")
            work(binning)
    assert told["deleted_at"] < metadata.now().isoformat()


def test_the_end_of_a_public_image_is_told_to_all_but_not_who_ended_it(admin):
    image_id = admin.active(visibility="public")
    _delete(admin, image_id)
    found = Caller(admin.client.app).get(f"{ROOT}/images/{image_id}")
    assert found.status_code == 410
    told = found.json["error"]["deleted"]
    assert (told["deleted_by"], told["deleted_by_project"], told["bin_until"]) == (None, None, None)


def test_an_undo_says_which_image_of_the_family_is_the_newest_by_now(binning, owner):
    image_id, newer = owner.active(b"old"), owner.active(b"new")
    table = image_table.TABLE
    _delete(owner, image_id)
    with binning.database.write() as conn:
        family = sa.update(table).where(table.c.id.in_([image_id, newer])).values(family="suse")
        conn.execute(family)
    assert _undo(owner, image_id).json["image"]["newest_id"] == newer
    _delete(owner, newer)
    assert _undo(owner, newer).json["image"]["newest_id"] is None


def test_an_undo_gives_back_the_alias_of_a_family_with_its_version_and_its_members(owner):
    """All through the doors: what users rely on is as it was before the delete."""
    family, member = {"imagesvc_family": "web"}, Caller(owner.client.app)
    older = owner.active(b"1", imagesvc_family_version="1", tags=["a", "b"], **family)
    owner.active(b"2", imagesvc_family_version="2", **family)
    path = f"{ROOT}/families/web"
    assert owner.request("PUT", path, {"image_id": older}).status_code == 200
    owner.share(older, member.project, "accepted")
    before = owner.get(path).json, owner.get(f"/v2/images/{older}").json
    _delete(owner, older)
    assert owner.get(path).json["family"]["image_id"] != older
    assert _undo(owner, older).json["image"]["newest_id"] is None
    after = owner.get(path).json, owner.get(f"/v2/images/{older}").json
    assert after[0] == before[0]
    assert after[1] | {"updated_at": ""} == before[1] | {"updated_at": ""}
    found = owner.get("/v2/images", query_string="imagesvc_family=web&imagesvc_newest=true").json[
        "images"
    ]
    assert [one["id"] for one in found] == [older]
    (seen,) = member.get(f"/v2/images/{older}/members").json["members"]
    assert (seen["member_id"], seen["status"]) == (member.project, "accepted")


def test_an_image_whose_family_shows_another_by_now_comes_back_hidden(owner, admin):
    """Who has its id uses it, and the list stays as it is."""
    values = {"visibility": "public", "imagesvc_family": "web"}
    older = admin.active(b"1", imagesvc_family_version="1", **values)
    _delete(admin, older)
    newer = admin.active(b"2", imagesvc_family_version="2", **values)
    back = _undo(admin, older).json["image"]
    assert (back["status"], back["hidden"], back["newest_id"]) == ("active", True, newer)
    assert owner.get(f"/v2/images/{older}/file").content == b"1"
    listed = owner.listed("visibility=public")
    assert (newer in listed, older in listed) == (True, False)
    _delete(admin, older)
    _delete(admin, newer)
    assert _undo(admin, newer).json["image"]["hidden"] is False
    assert newer in owner.listed("visibility=public")
    _delete(admin, newer)


def test_of_undos_and_new_images_of_a_family_at_once_one_is_shown(binning, admin):
    """Whatever comes first: nobody meets an error of the database."""
    values = {"visibility": "public", "imagesvc_family": "race"}
    older = [admin.active(b"1", **values)]
    for _ in range(2):
        _delete(admin, older[-1])
        older.append(admin.active(b"2", **values))
    _delete(admin, older[-1])
    with futures.ThreadPoolExecutor(len(older)) as pool:
        found = list(pool.map(lambda one: _undo(admin, one), older))
    assert [one.status_code for one in found] == [200] * len(older)
    shown = [one.json["image"]["hidden"] for one in found]
    assert sorted(shown) == [False, True, True]
    for one in older:
        _delete(admin, one)
    _clean(binning)


@pytest.mark.parametrize("image_id", ["x", "%00", "..%2Fbin", "a" * 300, "%ED%A0%80"])
def test_what_is_no_id_is_not_in_the_bin(owner, admin, image_id):
    for caller in (owner, admin):
        for method, path in (("GET", ""), ("POST", "/undo"), ("POST", "/purge")):
            found = caller.request(method, f"{ROOT}/bin/{image_id}{path}")
            assert found.status_code in (400, 404), found.text


def test_delete_undo_and_purge_at_once_leave_an_image_or_none(binning, owner):
    """Counters and bytes agree with the rows, whoever was quicker."""
    ids = [owner.active(b"12345") for _ in range(3)]

    def storm(number):
        image_id = ids[number % 3]
        paths = (f"{ROOT}/bin/{image_id}/undo", f"{ROOT}/bin/{image_id}/purge")
        if number % 4 < 2:
            return owner.request("DELETE", f"/v2/images/{image_id}").status_code
        return owner.request("POST", paths[number % 2]).status_code

    with futures.ThreadPoolExecutor(6) as pool:
        told = set(pool.map(storm, range(48)))
    assert told <= {200, 202, 204, 404}, told
    work(binning)
    there = [one for one in ids if owner.get(f"/v2/images/{one}").status_code == 200]
    binned = set(_binned(owner))
    assert not binned & set(there)
    used = _quota(binning, owner)
    assert used["images"] == (len(there), 0)
    assert used["stored_bytes"] == (5 * len(binned | set(there)), 0)
    for one in there:
        assert owner.get(f"/v2/images/{one}/file").content == b"12345"
    _clean(binning)


def test_the_trail_has_each_step(owner, admin, binning):
    image_id = owner.active()
    _delete(owner, image_id)
    _undo(owner, image_id)
    _delete(owner, image_id)
    owner.request("POST", f"{ROOT}/bin/{image_id}/purge")
    work(binning)
    found = admin.get(f"{ROOT}/audit", query_string=f"target_id={image_id}").json["events"]
    told = [one["action"] for one in found if one["outcome"] == "success"]
    assert sorted(told[:5]) == sorted(
        ["image:purge", "bin:purge", "image:delete", "bin:undo", "image:delete"]
    )
