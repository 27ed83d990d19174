"""Copies of images into another region: what arrives, and what a bad day does."""

import ssl
import uuid

import pytest
import sqlalchemy as sa

from imagesvc.api.native import region_image
from imagesvc.cmd import check_region
from imagesvc.db import agency as agency_rows
from imagesvc.db import image as image_rows
from imagesvc.db import image_disk
from imagesvc.domain import storage_key
from imagesvc.interface.errors import NoSpace
from imagesvc.manager import store_verify
from tests.api.conftest import configure
from tests.api.native import certificate, tus
from tests.api.native.installation import Installation, make_agency, section
from tests.poll import until

ROOT = "/imagesvc/v1"
MIB = 1 << 20
DATA = bytes(range(256)) * 5000


def copied(source, image_id, target, **values):
    """Ask for a copy; the path of its job."""
    project = target if isinstance(target, str) else target.project
    body = {"region": "West", "project": project, **values}
    found = source.request("POST", f"{ROOT}/images/{image_id}/region-copy", body)
    assert found.status_code == 202, found.text
    return f"{ROOT}/jobs/{found.json['job']['id']}"


def ended(east, source, path):
    """The job when it ended."""

    def look():
        east.work(1)
        job = source.get(path).json["job"]
        return job if job["finished_at"] else None

    return until(look, 30)


def agrees(*regions):
    """Rows and bytes agree everywhere."""
    for one in regions:
        until(lambda one=one: not verified(one))


def verified(one):
    """Where they do not."""
    tus.clean_up(one.service)
    found = store_verify.verify(one.service.database, one.service.backends, older_than_s=0)
    return found.findings


# ------------------------------------------------------------------ what arrives


def test_an_image_arrives_with_all_that_is_said_of_it(east, west, source, target):
    image_id = source.active(
        DATA, name="a name", tags=["x", "y"], min_disk=3, min_ram=5, os_type="linux",
        hw_disk_bus="scsi", imagesvc_mark="m",
        cinder_encryption_key_deletion_policy="on_image_deletion",
    )  # fmt: skip
    job = ended(east, source, copied(source, image_id, target))
    assert (job["state"], job["cause"], job["percent"]) == ("done", None, 100)
    result = job["result"]
    assert (result["region"], result["project_id"], result["has_namesake"]) == (
        "West", target.project, False,
    )  # fmt: skip
    assert result["image_id"] != image_id
    there = target.get(f"/v2/images/{result['image_id']}").json
    here = source.get(f"/v2/images/{image_id}").json
    kept = ("name", "tags", "min_disk", "min_ram", "os_type", "hw_disk_bus", "os_hash_value", "size",
            "disk_format", "container_format")  # fmt: skip
    assert {name: there[name] for name in kept} == {name: here[name] for name in kept}
    assert not {"imagesvc_mark", "cinder_encryption_key_deletion_policy"} & set(there)
    assert (there["status"], there["visibility"], there["owner"]) == (
        "active", "private", target.project,
    )  # fmt: skip
    assert target.get(f"/v2/images/{there['id']}/file").content == DATA
    assert tus.Tus(target).quota() == {
        "images": (1, 0), "stored_bytes": (len(DATA), 0), "uploads": (0, 0),
    }  # fmt: skip
    agrees(east, west)


def test_a_whole_machine_goes_with_all_disks_in_order(east, west, source, target):
    disks = [bytes([n]) * (MIB + n) for n in range(3)]
    image_id = east.machine(source, disks, name="machine")
    job = ended(east, source, copied(source, image_id, target, name="other"))
    assert job["state"] == "done", job
    made = job["result"]["image_id"]
    for index, data in enumerate(disks):
        found = target.get(f"{ROOT}/images/{made}/disk/{index}/file")
        assert found.content == data, index
    with west.service.database.read() as conn:
        image = image_rows.get(conn, made)
        roles = [disk.role for disk in image_disk.list_for(conn, made)]
    assert (image.kind, image.name, roles) == ("whole-machine", "other", ["system", "data", "data"])
    agrees(west)


def test_a_copy_of_a_deprecated_image_is_not_deprecated_there(east, source, target):
    image_id = source.active(DATA, imagesvc_family="web", imagesvc_family_version="1")
    source.patch(image_id, ("add", "/imagesvc_deprecated_at", "2026-01-01T00:00:00Z"))
    path = f"{ROOT}/images/{image_id}/region-copy"
    found = source.request("POST", path, {"region": "West", "project": target.project})
    assert found.headers["Deprecation"] == "@1767225600"
    job = ended(east, source, f"{ROOT}/jobs/{found.json['job']['id']}")
    there = target.get(f"{ROOT}/images/{job['result']['image_id']}").json["image"]
    facts = ("family", "family_version", "deprecated_at", "parent_image_id")
    assert [there[name] for name in facts] == [None] * 4
    uses = source.get(f"{ROOT}/images/{image_id}/impact").json["impact"]["uses"]
    assert ("region-copy", there["id"]) in [(one["kind"], one["id"]) for one in uses]


def test_an_image_of_no_bytes_arrives(east, source, target):
    image_id = source.active(b"")
    job = ended(east, source, copied(source, image_id, target))
    assert job["state"] == "done", job
    assert target.get(f"/v2/images/{job['result']['image_id']}").json["size"] == 0


def test_a_name_that_is_there_is_told_and_a_taken_id_ends_the_job(east, source, target):
    image_id = source.active(DATA, name="twin")
    wanted = str(uuid.uuid4())
    first = ended(east, source, copied(source, image_id, target, target_image_id=wanted))
    assert (first["state"], first["result"]["image_id"]) == ("done", wanted)
    second = ended(east, source, copied(source, image_id, target))
    assert (second["state"], second["result"]["has_namesake"]) == ("done", True)
    third = ended(east, source, copied(source, image_id, target, target_image_id=wanted))
    assert third["state"] == "failed"
    assert wanted in third["cause"]
    assert target.get(f"/v2/images/{wanted}").json["status"] == "active"


def test_both_audit_trails_name_the_other_region(east, source, target):
    image_id = source.active(DATA)
    job = ended(east, source, copied(source, image_id, target))
    ours = source.get(f"{ROOT}/audit", query_string=f"target_id={image_id}&limit=100").json[
        "events"
    ]
    told = {one["action"]: one["detail"] for one in ours}
    assert told["region_copy:create"]["region"] == "West"
    assert told["region_copy:complete"]["image_id"] == job["result"]["image_id"]
    made = job["result"]["image_id"]
    theirs = target.get(f"{ROOT}/audit", query_string=f"target_id={made}&limit=100").json["events"]
    for action in ("region_image:create", "upload:complete", "image_import:complete"):
        detail = next(one["detail"] for one in theirs if one["action"] == action)
        assert (detail["source_region"], detail["source_project_id"]) == ("East", source.project)


def test_the_same_idempotency_key_is_one_copy(source, target):
    image_id = source.active(DATA)
    body = {"region": "west", "project": target.project}
    path, headers = f"{ROOT}/images/{image_id}/region-copy", {"Idempotency-Key": uuid.uuid4().hex}
    answers = [source.request("POST", path, body, headers=headers) for _ in range(2)]
    first, second = (one.json["job"]["id"] for one in answers)
    assert first == second
    assert source.request("POST", f"{ROOT}/jobs/{first}/cancel").status_code == 202


# ------------------------------------------------------------------ who may


def test_without_an_agency_the_job_fails_and_says_which_is_missing(east, west, source):
    stranger = west.caller()
    image_id = source.active(DATA)
    job = ended(east, source, copied(source, image_id, stranger))
    assert job["state"] == "failed"
    assert f"--source-project {source.project}" in job["cause"]
    assert "East" in job["cause"]
    assert stranger.listed() == []
    make_agency(stranger, source.project)
    path = f"{ROOT}/jobs/{job['id']}"
    assert source.request("POST", f"{path}/retry").status_code == 202
    again = ended(east, source, path)
    assert (again["state"], stranger.listed()) == ("done", [again["result"]["image_id"]])


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"region": "South", "project": "p"}, 400, "invalid-request"),
        ({"region": "East", "project": "p"}, 400, "invalid-request"),
        ({"region": "West"}, 400, "malformed"),
    ],
)
def test_a_copy_to_nowhere_is_refused(source, body, status, reason):
    image_id = source.active(DATA)
    found = source.request("POST", f"{ROOT}/images/{image_id}/region-copy", body)
    assert (found.status_code, found.json["error"]["reason"]) == (status, reason), found.text


def test_only_those_who_may_read_the_bytes_copy_them(east, source, target):
    image_id = source.active(DATA)
    body = {"region": "West", "project": target.project}
    path = f"{ROOT}/images/{image_id}/region-copy"
    stranger, reader = east.caller(), east.caller("reader", project=source.project)
    assert stranger.request("POST", path, body).status_code == 404
    assert reader.request("POST", path, body).status_code == 403
    empty = source.create()["id"]
    found = source.request("POST", f"{ROOT}/images/{empty}/region-copy", body)
    assert (found.status_code, found.json["error"]["reason"]) == (409, "no-content")


def test_a_project_that_was_named_is_its_id_once_the_other_region_said_so(
    east, west, source, monkeypatch
):
    member = west.caller()
    make_agency(member, source.project)
    name = f"name-{member.project}"
    with west.service.database.write() as conn:
        table = agency_rows.TABLE
        named = sa.update(table).where(table.c.project_id == member.project)
        conn.execute(named.values(project_name=name))
    claimed, act = [], type(west.service.region.agencies).act

    def noted(manager, ctx, claim):
        claimed.append(claim.project)
        return act(manager, ctx, claim)

    monkeypatch.setattr(type(west.service.region.agencies), "act", noted)
    job = ended(east, source, copied(source, source.active(DATA), name))
    assert (job["state"], job["result"]["project_id"]) == ("done", member.project), job
    assert claimed[0] == name
    assert set(claimed[1:]) == {member.project}


# ------------------------------------------------------------------ bad days


def test_a_region_that_is_away_is_waited_for(east, west, source, target):
    image_id = source.active(DATA)
    west.shut()
    path = copied(source, image_id, target)
    assert "waits for a place" in source.get(path).json["job"]["cause"]
    east.work(1)
    job = source.get(path).json["job"]
    assert (job["state"], job["finished_at"]) == ("ready", None)
    assert job["cause"].startswith("Region West cannot be reached")
    west.open()
    job = ended(east, source, path)
    assert (job["state"], job["cause"]) == ("done", None)


def test_a_region_that_stays_away_ends_the_job_with_its_cause(east, west, source, target):
    image_id = source.active(DATA)
    path = copied(source, image_id, target)
    east.conf.set_override("retry_s", 0, "worker")
    west.shut()
    try:
        job = ended(east, source, path)
    finally:
        west.open()
        east.conf.clear_override("retry_s", "worker")
    assert job["state"] == "failed"
    assert job["cause"].startswith("Region West cannot be reached")
    assert target.listed() == []


def test_a_region_that_is_full_is_waited_for(east, west, source, target, monkeypatch):
    image_id = source.active(DATA)
    store = type(west.service.backends.storage())

    def full(*args, **kwargs):
        raise NoSpace("The store is full.")

    with monkeypatch.context() as patched:
        patched.setattr(store, "open_write", full)
        path = copied(source, image_id, target)
        east.work(2)
        job = source.get(path).json["job"]
        assert (job["state"], job["cause"]) == ("ready", "Region West has no room for the image.")
    job = ended(east, source, path)
    assert (job["state"], job["cause"]) == ("done", None)


@pytest.mark.parametrize(
    "wrong",
    [{"status": ["active"]}, {"image_id": "../images"}, {"disks": [7]}, {"cause": {"no": "text"}}],
)
def test_a_region_that_answers_nonsense_is_waited_for_with_that_cause(
    east, west, source, target, monkeypatch, wrong
):
    image_id = source.active(DATA)
    kept = region_image.render
    with monkeypatch.context() as patched:
        patched.setattr(region_image, "render", lambda found: {**kept(found), **wrong})
        path = copied(source, image_id, target)
        east.work(2)
        job = source.get(path).json["job"]
        assert (job["state"], job["cause"]) == (
            "ready", "Region West does not answer as this service does.",
        )  # fmt: skip
    job = ended(east, source, path)
    assert (job["state"], job["cause"]) == ("done", None)
    agrees(east, west)


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (lambda told: {"image_id": str(uuid.uuid4())}, "it made an image of another id."),
        (lambda told: {"disks": [*told["disks"], *told["disks"]]}, "it has other disks."),
        (lambda told: {"disks": []}, "it has other disks."),
    ],
)
def test_a_region_that_makes_something_else_is_refused_and_keeps_nothing(
    east, west, source, target, monkeypatch, wrong, cause
):
    image_id, wanted = source.active(DATA), str(uuid.uuid4())
    kept = region_image.render

    def told(found):
        right = kept(found)
        return {**right, **wrong(right)}

    monkeypatch.setattr(region_image, "render", told)
    job = ended(east, source, copied(source, image_id, target, target_image_id=wanted))
    assert (job["state"], job["cause"]) == ("failed", f"Region West refused: {cause}")
    assert target.listed() == []
    agrees(east, west)


def test_a_quota_of_the_target_ends_the_job_with_its_words(east, west, source, target):
    admin = west.caller("admin")
    limits = {"stored_bytes": 10}
    assert admin.request("PUT", f"{ROOT}/quota/{target.project}", limits).status_code == 200
    image_id = source.active(DATA)
    job = ended(east, source, copied(source, image_id, target))
    assert (job["state"], "Quota" in job["cause"]) == ("failed", True), job
    assert target.listed() == []


def test_a_cancelled_copy_leaves_nothing_there(east, west, source, target, monkeypatch):
    image_id = source.active(DATA)
    path = copied(source, image_id, target)
    sent = type(west.service.upload_writer)
    kept = sent.write

    def broken(*args, **kwargs):
        kept(*args, **kwargs)
        raise OSError("the connection is cut")

    with monkeypatch.context() as patched:
        patched.setattr(sent, "write", broken)
        east.work(2)
        assert len(target.listed()) == 1
        assert source.get(path).json["job"]["cause"]
    assert source.request("POST", f"{path}/cancel").status_code == 202
    job = ended(east, source, path)
    assert job["state"] == "cancelled"
    assert target.listed() == []
    agrees(west)


def test_rotten_bytes_of_the_source_are_no_image_there(east, west, source, target):
    image_id = source.active(DATA)
    with east.service.database.read() as conn:
        [(_, key)] = image_disk.list_for(conn, image_id)[0].locations
    path = east.service.backends.storage().path(key)
    path.chmod(0o600)
    path.write_bytes(b"y" + path.read_bytes()[1:])
    job = ended(east, source, copied(source, image_id, target))
    assert (job["state"], "digest" in job["cause"]) == ("failed", True), job
    until(lambda: target.listed() == [])
    agrees(west)


def test_the_image_deleted_on_its_way_ends_the_copy(east, west, source, target):
    image_id = source.active(DATA)
    west.shut()
    path = copied(source, image_id, target)
    east.work(1)
    assert source.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    west.open()
    job = ended(east, source, path)
    assert (job["state"], "deleted" in job["cause"]) == ("failed", True), job
    assert target.listed() == []


def test_the_copy_deleted_there_on_its_way_ends_the_job_with_that_cause(
    east, west, source, target, monkeypatch
):
    image_id = source.active(DATA)
    sent = type(west.service.upload_writer)
    kept = sent.write

    def deleted(writer, ctx, upload_id, *args, **kwargs):
        [made] = target.listed()
        assert target.request("DELETE", f"/v2/images/{made}").status_code == 204
        return kept(writer, ctx, upload_id, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(sent, "write", deleted)
        job = ended(east, source, copied(source, image_id, target))
    assert (job["state"], job["cause"]) == (
        "failed", "Region West refused: the image was deleted there.",
    )  # fmt: skip
    agrees(west)


def test_an_agency_deleted_once_all_bytes_went_ends_the_job_with_that_cause(
    east, west, source, target, monkeypatch
):
    image_id = source.active(DATA)
    [agency] = target.get(f"{ROOT}/agencies").json["agencies"]
    sent = type(west.service.upload_writer)
    kept = sent.write

    def ended_after(writer, ctx, *args, **kwargs):
        found = kept(writer, ctx, *args, **kwargs)
        if found.job_id:
            path = f"{ROOT}/agencies/{agency['id']}"
            assert target.request("DELETE", path).status_code == 204
        return found

    with monkeypatch.context() as patched:
        patched.setattr(sent, "write", ended_after)
        job = ended(east, source, copied(source, image_id, target))
    assert (job["state"], "agency create" in job["cause"]) == ("failed", True), job
    agrees(west)


# ------------------------------------------------------------------ the operator


def test_regions_are_listed_without_secrets(east, source, west):
    found = source.get(f"{ROOT}/regions").json
    assert found == {
        "region": "East",
        "regions": [{"id": "west", "name": "West", "endpoint": west.url}],
    }


def configured(folder, more):
    """The configuration of an East."""
    folder.mkdir()
    return configure(folder, f"[service]\nregion = East\n{more}")


def test_the_check_has_a_verdict_a_region(east, west, tmp_path):
    [good] = check_region.regions(east.conf)
    assert (good.level, good.name) == ("ok", "region west"), good
    west.service.backends.identity().create_user("nobody", "a-password-of-the-service")
    west.service.backends.identity().grant("nobody", "service", "member")
    for name, more, text in (
        ("role", section(west, "nobody"), "has not the role service"),
        ("user", section(west, "unknown"), "does not know this service's user"),
        (
            "name",
            section(west, "east").replace("name = West\n", "name = Far\n", 1),
            "calls itself West",
        ),
        ("away", section(west, "east").replace(str(west.port), "1"), "cannot be reached"),
    ):
        [bad] = check_region.regions(configured(tmp_path / name, more))
        assert (bad.level, text in bad.text) == ("failed", True), (name, bad)


def test_a_certificate_that_is_not_trusted_is_told_and_a_right_one_is_taken(tmp_path, west, source):
    paths = certificate.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)
    far = Installation(tmp_path / "far", "Far")
    far.admit("east")
    far.open(context)
    more = section(far, "east", f"ca_file = {paths[0]}\n")
    for name, text, level in (("bad", section(far, "east"), "failed"), ("good", more, "ok")):
        [found] = check_region.regions(configured(tmp_path / name, text))
        assert found.level == level, found
        assert ("certificate that is not trusted" in found.text) == (level == "failed")
    far.close()


# ------------------------------------------------------------------ under a key


def key_of(caller, *, default=True):
    """A new key of a project in the KMS of its region; its id."""
    key_id = caller.request("POST", f"{ROOT}/key", {"name": "k"}).json["key"]["id"]
    if default:
        caller.request("PATCH", f"{ROOT}/key/{key_id}", {"default": True})
    return key_id


@pytest.mark.parametrize("source_key", [True, False])
def test_an_image_arrives_encrypted_under_a_key_of_the_target(
    east, west, source, target, source_key
):
    under = {"imagesvc_key_id": key_of(source)} if source_key else {}
    image_id = source.active(DATA, **under)
    key_id = key_of(target)
    job = ended(east, source, copied(source, image_id, target, key_id="default"))
    assert job["state"] == "done", job
    made = target.get(f"/v2/images/{job['result']['image_id']}").json
    assert (made["status"], made["imagesvc_key_id"]) == ("active", key_id)
    assert target.get(f"/v2/images/{made['id']}/file").content == DATA
    keys = [one.key for one in west.service.backends.storage().list(f"{made['id']}/")]
    assert keys
    assert all(storage_key.is_encrypted(one) for one in keys)
    agrees(east, west)


def test_a_key_that_the_target_has_not_ends_the_job_and_leaves_nothing(east, source, target):
    image_id = source.active(DATA)
    wanted = str(uuid.uuid4())
    path = copied(source, image_id, target, key_id=str(uuid.uuid4()), target_image_id=wanted)
    job = ended(east, source, path)
    assert (job["state"], "key" in job["cause"]) == ("failed", True), job
    assert target.get(f"/v2/images/{wanted}").status_code == 404


def test_an_encrypted_image_leaves_its_region_under_a_key_alone(source, target):
    image_id = source.active(DATA, imagesvc_key_id=key_of(source))
    body = {"region": "West", "project": target.project}
    found = source.request("POST", f"{ROOT}/images/{image_id}/region-copy", body)
    assert (found.status_code, found.json["error"]["reason"]) == (400, "key-missing")


def test_a_key_that_is_disabled_meanwhile_ends_the_job(east, source, target):
    key_id = key_of(source)
    image_id = source.active(DATA, imagesvc_key_id=key_id)
    key_of(target)
    wanted = str(uuid.uuid4())
    path = copied(source, image_id, target, key_id="default", target_image_id=wanted)
    source.request("PATCH", f"{ROOT}/key/{key_id}", {"enabled": False})
    job = ended(east, source, path)
    assert (job["state"], "disabled" in job["cause"]) == ("failed", True), job
    until(lambda: target.get(f"/v2/images/{wanted}").status_code == 404)
