"""The catalog's sync, from families of a folder."""

import contextlib
import dataclasses
import datetime
import shutil

import pytest

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import catalog as catalog_rows
from imagesvc.db import family as family_rows
from imagesvc.db import image as image_rows
from imagesvc.db import metadata
from imagesvc.domain import catalog_lock
from imagesvc.domain.catalog import Allowance
from imagesvc.domain.image_property import Change
from imagesvc.domain.image_query import ImageQuery
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper, runner
from tests.catalog_folder import Folder
from tests.unit.worker.conftest import CALLER, CONF

ADMIN = RequestContext("root", "admins", frozenset({"admin", "member", "reader"}), is_admin=True)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def url(tmp_path):
    """One engine: the rows have tests on each."""
    return f"sqlite:///{tmp_path}/imagesvc.sqlite"


@pytest.fixture(autouse=True)
def _no_looks(monkeypatch):
    """What is on a disk has tests of its own, and takes a sandbox."""
    monkeypatch.setenv("OS_IMAGE__DETECT", "off")


@pytest.fixture
def folder(tmp_path):
    """What the operator built."""
    return Folder(tmp_path / "catalog")


@pytest.fixture
def families(service):
    """The manager."""
    return service.catalog.families


@pytest.fixture
def work(service):
    """Work until nothing is due."""

    def go():
        worker = runner.Runner(service, "here", pause_max_s=0)
        while worker.run_once():
            pass

    return go


@pytest.fixture
def sync(service, families, work):
    """Sync to the end; the jobs then, by family."""

    def go(*names, **options):
        jobs = families.sync(ADMIN, names, **options)
        work()
        return {one.args["family"]: service.jobs.get(ADMIN, one.id) for one in jobs}

    return go


@pytest.fixture
def work_of():
    """Sync all of a service to the end; the jobs then, by family."""

    def go(service):
        jobs = service.catalog.families.sync(ADMIN)
        worker = runner.Runner(service, "here", pause_max_s=0)
        while worker.run_once():
            pass
        return {one.args["family"]: service.jobs.get(ADMIN, one.id) for one in jobs}

    return go


def public(service):
    """Names of the images that anybody sees in the list, and their builds."""
    return sorted(
        (one.name, one.properties["image_build"])
        for one in service.images.list(CALLER, ImageQuery()).images
    )


def newest(service, name):
    """What `family/NAME` means to anybody."""
    with service.database.read() as conn:
        return family_rows.resolve(conn, name, CALLER.project_id)


def data_of(service, image_id):
    """What a caller of another project reads."""
    with service.image_files.download(CALLER, image_id).open() as stream:
        return stream.read()


def test_two_releases_in_a_row_are_published_and_one_is_rolled_back(
    service, folder, families, sync, compute, work
):
    first = folder.put("debian-13", "20260101-9")
    old = sync()["debian-13"]
    assert (old.state, old.error_text) == ("done", None)
    assert public(service) == [("Debian-13", "20260101-9")]
    second = folder.put("debian-13", "20260101-10")  # newer by number, not as text
    new = sync()["debian-13"]
    assert public(service) == [("Debian-13", "20260101-10")]
    image = service.images.get(CALLER, new.image_id)
    assert (image.visibility, image.hidden, image.min_ram_mib) == ("public", False, 64)
    assert image.properties["hw_disk_bus"] == "virtio"
    assert image.properties["uuid_validity"] == "last-3"
    assert data_of(service, new.image_id) == second
    assert newest(service, "debian-13") == new.image_id
    former = service.images.get(CALLER, old.image_id)
    assert (former.name, former.hidden) == ("Debian-13 (20260101-9)", True)
    assert former.properties["os_purpose"] == "oldgeneric"
    assert data_of(service, old.image_id) == first

    before, after = families.rollback(ADMIN, "debian-13")
    assert (before.image_id, after.image_id) == (new.image_id, old.image_id)
    assert public(service) == [("Debian-13", "20260101-9")]
    assert service.images.get(CALLER, old.image_id).properties["os_purpose"] == "generic"
    assert data_of(service, new.image_id) == second
    assert newest(service, "debian-13") == old.image_id
    # What was rolled back is not taken again by itself.
    assert families.plan(ADMIN, "debian-13").lines == ("debian-13: nothing new",)
    with pytest.raises(errors.Conflict, match="no build to go back to"):
        families.rollback(ADMIN, "debian-13")

    compute.servers["server"] = "project"
    for image_id in (old.image_id, new.image_id):
        job = service.rebuilds.start(CALLER, server_ids=("server",), image_id=image_id)
        work()
        assert service.jobs.get(CALLER, job.id).state == "done"
    assert [one[1] for one in compute.rebuilt] == [old.image_id, new.image_id]
    assert quota_verify.verify(service.database) == ()


def test_a_plan_says_what_the_sync_does_and_is_empty_after_it(folder, families, sync):
    for build in ("1", "2"):
        folder.put("alpine", build)
        plan = families.plan(ADMIN, "alpine")
        assert plan.steps
        assert families.plan(ADMIN, "alpine") == plan  # it changes nothing
        ended = sync("alpine")["alpine"]
        assert [one["text"] for one in ended.result["steps"]] == [one.text for one in plan.steps]
        assert families.plan(ADMIN, "alpine").lines == ("alpine: nothing new",)
    again = sync("alpine")["alpine"]
    assert (again.state, again.result["is_new"], again.result["steps"]) == ("done", False, [])


def flip(path):
    """Another byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    """The last byte is missing."""
    path.write_bytes(path.read_bytes()[:-1])


def grow(path):
    """One byte more."""
    path.write_bytes(path.read_bytes() + b"x")


def ruin_sums(path):
    """A list that is a web page."""
    path.with_name("SHA256SUMS").write_text("<html>not found</html>")


def vanish(path):
    """The list names what is not there."""
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (flip, "do not have the digest"),
        (cut, "do not have the digest"),
        (grow, "do not have the digest"),
        (ruin_sums, "not one line of a digest"),
        (vanish, "cannot be read: No such file"),
    ],
)
def test_what_was_tampered_with_is_refused_and_nothing_changes(
    service, folder, families, sync, spoil, told
):
    folder.put("debian-13", "1")
    folder.put("other", "1")
    sync()
    before = public(service)
    folder.put("debian-13", "2")
    folder.put("other", "2")
    spoil(folder.path / "debian-13" / "2" / "disk.raw")
    ended = sync()
    assert ended["debian-13"].state == "failed"
    assert told in ended["debian-13"].error_text
    assert ended["other"].state == "done"  # the rest goes on
    assert public(service) == [before[0], ("Other", "2")]
    with pytest.raises(errors.ImageNotFound):
        service.images.get(ADMIN, ended["debian-13"].image_id)
    details = {one.family.id: one for one in families.list(ADMIN)}
    assert told in details["debian-13"].state.cause
    assert details["other"].state.cause is None
    reaper.run(service)
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    assert not found.findings
    assert quota_verify.verify(service.database) == ()


def test_a_build_that_moves_between_the_list_and_the_file_is_refused(
    service, folder, sync, families, monkeypatch
):
    folder.put("debian-13", "1")
    source = service.catalog.sync
    kept = source.decide

    def moving(*args):
        found = kept(*args)
        flip(folder.path / "debian-13" / "1" / "disk.raw")
        return found

    monkeypatch.setattr(type(source), "decide", lambda self, *args: moving(*args))
    assert sync()["debian-13"].state == "failed"
    assert public(service) == []


def test_an_older_build_is_taken_only_if_that_is_asked_for(service, folder, families, sync):
    folder.put("debian-13", "1")
    folder.put("debian-13", "2")
    sync()
    shutil.rmtree(folder.path / "debian-13" / "2")
    assert "older than the published 2" in families.plan(ADMIN, "debian-13").cause
    ended = sync()["debian-13"]
    assert (ended.state, public(service)) == ("failed", [("Debian-13", "2")])
    ended = sync(allowed=Allowance(downgrade=True))["debian-13"]
    assert (ended.state, public(service)) == ("done", [("Debian-13", "1")])


def test_a_family_has_one_job_at_a_time(folder, families, work):
    folder.put("debian-13", "1")
    (first,) = families.sync(ADMIN)
    (second,) = families.sync(ADMIN)
    assert second.id == first.id
    work()
    (third,) = families.sync(ADMIN)
    assert third.id != first.id


def test_a_lock_file_brings_the_same_build_again(service, folder, families, sync):
    folder.put("debian-13", "1")
    folder.put("alpine", "1")
    sync()
    entries = catalog_lock.parse(families.lock(ADMIN).encode())
    assert sorted(entries) == ["alpine", "debian-13"]
    folder.put("debian-13", "2")
    locked = {"debian-13": entries["debian-13"]}
    assert sync(locked=locked)["debian-13"].result["is_new"] is False
    sync()
    assert public(service) == [("Alpine", "1"), ("Debian-13", "2")]
    refused = sync(locked=locked)["debian-13"]
    assert "older than the published" in refused.error_text


def test_a_lock_entry_with_another_digest_is_refused(service, folder, families, sync):
    folder.put("debian-13", "1")
    sync()
    (entry,) = catalog_lock.parse(families.lock(ADMIN).encode().replace(b'"1"', b'"2"')).values()
    wrong = catalog_lock.plain(entry)
    wrong["digest"]["value"] = "0" * 64
    wrong["order"] = [2]
    ended = sync(locked={"debian-13": catalog_lock.entry(wrong)})["debian-13"]
    assert ended.state == "failed"
    assert public(service) == [("Debian-13", "1")]


def promised(service, image_id):
    """What is shown as promised of an image, after a try to delete it."""
    with contextlib.suppress(errors.ImageNotFound):
        shown = service.images.get(ADMIN, image_id).properties.get("provided_until")
        with pytest.raises(errors.ImagePromised) if shown else contextlib.nullcontext():
            service.deletions.delete(ADMIN, image_id)
        return shown


def test_what_is_shown_as_promised_is_what_is_kept(service, folder, families, sync):
    folder.family("debian-13", until="2090-01-01", id_until="2089-01-01")
    ids = []
    for build in ("1", "2"):
        folder.put("debian-13", build)
        ids.append(sync()["debian-13"].image_id)
    assert [promised(service, one) for one in ids] == ["2089-01-01", "2090-01-01"]
    families.rollback(ADMIN, "debian-13")
    assert [promised(service, one) for one in ids] == ["2090-01-01", "2089-01-01"]
    folder.put("debian-13", "3")
    sync()
    assert [promised(service, one) for one in ids] == ["2089-01-01", "2089-01-01"]


def test_a_promise_of_an_image_of_a_family_is_never_made_shorter(service, folder, families, sync):
    """By an administrator, by an entry that was changed meanwhile, or by a roll-back."""
    folder.family("debian-13", until="2090-01-01", id_until="2092-01-01")
    ids = []
    for build, day in (("1", "2095-01-01"), ("2", None), ("3", None)):
        folder.put("debian-13", build)
        ids.append(sync()["debian-13"].image_id)
        if day:
            change = Change("replace", ("properties", "provided_until"), day)
            service.images.patch(ADMIN, ids[-1], (change,))
    assert [promised(service, one) for one in ids] == ["2095-01-01", "2092-01-01", "2090-01-01"]
    families.rollback(ADMIN, "debian-13")
    assert [promised(service, one) for one in ids] == ["2095-01-01", "2092-01-01", "2092-01-01"]
    folder.family("debian-13")
    folder.put("debian-13", "4")
    ids.append(sync()["debian-13"].image_id)
    assert [promised(service, one) for one in ids] == [
        "2095-01-01", "2092-01-01", "2092-01-01", None,
    ]  # fmt: skip


def test_an_entry_promises_by_its_promise_alone(service, folder, sync):
    folder.put("debian-13", "1")
    entry = folder.path / "debian-13" / "family.yaml"
    more = '{provided_until: "2090-01-01", hw_x: y, os_distro'
    entry.write_text(entry.read_text().replace("{os_distro", more))
    image = service.images.get(ADMIN, sync()["debian-13"].image_id)
    assert (image.provided_until, image.properties.get("provided_until")) == (None, None)
    assert image.properties["hw_x"] == "y"


def test_a_build_that_fails_leaves_nothing_of_its_promise(service, folder, sync):
    folder.family("debian-13", until="2090-01-01")
    folder.put("debian-13", "1")
    flip(folder.path / "debian-13" / "1" / "disk.raw")
    job = sync()["debian-13"]
    assert (job.state, public(service)) == ("failed", [])
    with pytest.raises(errors.ImageNotFound):
        service.images.get(ADMIN, job.image_id)
    assert quota_verify.verify(service.database) == ()


def test_a_sync_prunes_if_the_operator_wants_it_and_says_what(service_of, compute, folder, work_of):
    service = service_of(CONF + "\n[catalog]\nprune_after_sync = true\n")
    folder.family("debian-13", keep=2)
    jobs = []
    for build in ("1", "2", "3", None):
        if build:
            folder.put("debian-13", build)
        jobs.append(work_of(service)["debian-13"])
    assert [one.result["pruned"] for one in jobs] == [[], [], [jobs[0].image_id], []]
    assert (jobs[2].result["build"], jobs[2].result["is_new"]) == ("3", True)
    assert public(service) == [("Debian-13", "3")]
    with pytest.raises(errors.ImageNotFound):
        service.images.get(ADMIN, jobs[0].image_id)
    assert quota_verify.verify(service.database) == ()


def test_as_shipped_a_sync_prunes_nothing(service, folder, sync):
    folder.family("debian-13", keep=1)
    ids = []
    for build in "12":
        folder.put("debian-13", build)
        job = sync()["debian-13"]
        ids.append(job.image_id)
        assert "pruned" not in job.result
    assert service.images.get(ADMIN, ids[0]).status == "active"


def test_a_prune_that_fails_leaves_the_release_and_the_job_done(
    service_of, folder, work_of, monkeypatch, caplog
):
    service = service_of(CONF + "\n[catalog]\nprune_after_sync = true\n")

    def broken(*args):
        raise errors.FamilyNotFound(family="debian-13")

    monkeypatch.setattr(service.catalog.pruner, "plan", broken)
    folder.put("debian-13", "1")
    job = work_of(service)["debian-13"]
    assert (job.state, job.result["build"]) == ("done", "1")
    assert public(service) == [("Debian-13", "1")]
    assert "step left behind" in caplog.text


@pytest.mark.parametrize("turn", ["promised", "protected", "used", "newest"])
def test_what_is_protected_between_plan_and_deletion_stays(service, folder, families, sync, turn):
    folder.family("debian-13", keep=1)
    ids = []
    for build in "123":
        folder.put("debian-13", build)
        ids.append(sync()["debian-13"].image_id)
    pruner = service.catalog.pruner
    plans, _ = pruner.plan(ADMIN)
    assert set(plans[0].images) == set(ids[:2])
    with service.database.write() as conn:
        if turn == "newest":
            families._sync.rollback(conn, "debian-13")
        else:
            values = {
                "promised": {"provided_until": metadata.now() + DAY},
                "protected": {"protected": True},
                "used": {"last_used_at": metadata.now()},
            }
            image_rows.update(conn, ids[1], values[turn])
    (kept,) = pruner.carry_out(ADMIN, plans)
    assert (kept.image_id, turn in kept.reason) == (ids[1], True)
    assert service.images.get(ADMIN, ids[1]).status == "active"
    with pytest.raises(errors.ImageNotFound):
        service.images.get(ADMIN, ids[0])


def test_only_what_nothing_needs_is_pruned(service, folder, families, sync, compute):
    folder.family("debian-13", keep=2)
    ids = []
    for build in "123456":
        folder.put("debian-13", build)
        ids.append(sync()["debian-13"].image_id)
    with service.database.write() as conn:
        image_rows.update(conn, ids[0], {"provided_until": metadata.now() + DAY})
        image_rows.update(conn, ids[1], {"last_used_at": metadata.now() - DAY})
        image_rows.update(conn, ids[2], {"protected": True})
    (plan,), kept = service.catalog.pruner.plan(ADMIN)
    assert [one.subject for one in plan.steps] == [f"image {ids[3]}"]
    assert {one.image_id: one.reason.split(" on ")[0].split(" until ")[0] for one in kept} == {
        ids[4]: "it is one of the last 2",
        ids[2]: "it is protected",
        ids[1]: "it was used",
        ids[0]: "it is promised",
    }
    service.catalog.pruner.prune(ADMIN, ["debian-13"])
    with pytest.raises(errors.ImageNotFound):
        service.images.get(ADMIN, ids[3])
    assert service.catalog.pruner.plan(ADMIN)[0][0].steps == ()
    assert quota_verify.verify(service.database) == ()


def test_an_image_is_verified_offline(service, folder, families, sync, work, tmp_path):
    folder.put("debian-13", "1")
    image_id = sync()["debian-13"].image_id
    shutil.rmtree(folder.path / "debian-13" / "1")
    (job,) = families.verify(ADMIN)
    work()
    assert service.jobs.get(ADMIN, job.id).state == "done"
    (path,) = [one for one in (tmp_path / "images").rglob("*") if one.is_file()]
    path.chmod(0o600)
    flip(path)
    (job,) = families.verify(ADMIN, [image_id])
    work()
    ended = service.jobs.get(ADMIN, job.id)
    assert (ended.state, "corrupt" in ended.error_text) == ("failed", True)


def test_a_list_that_was_changed_in_the_database_is_seen(service, folder, families, sync, work):
    folder.put("debian-13", "1")
    image_id = sync()["debian-13"].image_id
    with service.database.write() as conn:
        conn.execute(catalog_rows.RELEASE.update().values(list_bytes=b"0" * 64 + b"  disk.raw\n"))
    (job,) = families.verify(ADMIN, [image_id])
    work()
    assert "names another digest" in service.jobs.get(ADMIN, job.id).error_text


def test_a_family_that_is_late_is_told(service, folder, families, sync):
    folder.put("debian-13", "1")
    assert families.late() == {"debian-13": "It has no image."}
    assert service.health.warnings(ADMIN) == ("Family debian-13 is overdue: It has no image.",)
    assert service.metrics.snapshot().late == ("debian-13",)
    sync()
    assert families.late() == {}
    with service.database.write() as conn:
        catalog_rows.keep(conn, "debian-13", checked_at=metadata.now() - 31 * DAY)
    assert "more than 30 days" in families.late()["debian-13"]


def test_only_administrators_reach_the_catalog(service, folder, families):
    folder.put("debian-13", "1")
    for call in (
        families.list,
        families.lock,
        families.sync,
        families.verify,
        service.catalog.pruner.plan,
        lambda ctx: families.plan(ctx, "debian-13"),
        lambda ctx: families.rollback(ctx, "debian-13"),
    ):
        with pytest.raises(errors.Forbidden):
            call(dataclasses.replace(CALLER, roles=frozenset({"member", "reader"})))
