"""What the driver of Cinder makes of Cinder's answers, on the wire."""

import hashlib
import json
import urllib.parse

import pytest

from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.interface.volume import VolumeSpec, VolumeState
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.volume.cinder import CinderVolume
from imagesvc_drivers.volume.cinder.client import DOOMED, INDEX, MADE, WORK
from tests import web_server

PROJECT = "p1"
IDS = [f"3f2f4f0e-0000-4000-8000-00000000000{number}" for number in range(4)]
VERSIONS = {
    "/v3": {"id": "v3.0", "version": "3.71", "min_version": "3.0"},
    "/v2": {"id": "v2.16"},
}
WORK_OF_T = hashlib.sha256(b"t").hexdigest()[:40]
HANDLE = f"create:{PROJECT}:1:{WORK_OF_T}"
SPEC = VolumeSpec("law", PROJECT, 1 << 30)
SOURCE = ImageSource("i1", 0, "raw", 512, 512, "0" * 128, "http://127.0.0.1:9/none")
OF_IMAGE = VolumeSpec("v", PROJECT, 1 << 30, SOURCE, "i1")


class Cinder:
    """Answers by `answers[(method, path)]` = (status, body), and keeps what was asked."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def __call__(self, head, connection):
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        path = urllib.parse.urlsplit(target).path
        root, path = path[:3], path[3:].rstrip("/")
        links = [{"rel": "self", "href": f"{root}/"}]
        status = "200 OK"
        body = {"version": {"status": "CURRENT", "links": links, **VERSIONS.get(root, {})}}
        if path:
            self.asked.append((method, path))
            status, body = self.answers.get((method, path), ("404 Not Found", {}))
        kind = "Content-Type: application/json"
        text = b"" if body is None else json.dumps(body).encode()
        connection.sendall(web_server.answer(text, kind, status=status))


@pytest.fixture
def made():
    """Makes drivers; each has a Cinder of its own that answers so."""
    drivers, stack = [], []

    def make(answers):
        cinder = Cinder(answers)
        context = web_server.serving(cinder)
        server = context.__enter__()
        stack.append(context)
        values = {
            "token": "t:{project_id}", "endpoint": server.url("/v3"), "timeout_s": 5.0,
            "image_endpoint": server.url("/v2"),
        }  # fmt: skip
        drivers.append(CinderVolume(options_of(CinderVolume, values), backend_id="test"))
        return drivers[-1], cinder

    yield make
    for driver in drivers:
        driver.close()
    for context in stack:
        context.__exit__(None, None, None)


def volume_of(number=0, status="available", **marks):
    """A volume as Cinder gives it."""
    return {
        "id": IDS[number], "name": "law", "size": 1, "status": status,
        "created_at": f"2026-11-29T10:00:0{number}.000000", "os-vol-tenant-attr:tenant_id": PROJECT,
        "metadata": {WORK: WORK_OF_T, INDEX: "0", **marks},
    }  # fmt: skip


def listed(*volumes):
    """The answer to a list."""
    return {("GET", "/volumes/detail"): ("200 OK", {"volumes": list(volumes)})}


@pytest.mark.parametrize(
    ("status", "body", "error", "retryable"),
    [
        ("400 Bad Request", {"badRequest": {"message": "no such type"}}, errors.InvalidArgument, 0),
        ("403 Forbidden", {"forbidden": {"message": "not you"}}, errors.AccessDenied, 0),
        (
            "413 Request Entity Too Large",
            {"overLimit": {"message": "Maximum number of volumes exceeded for quota 'volumes'."}},
            errors.NoSpace, 0,
        ),
        ("503 Service Unavailable", {}, errors.Unavailable, 1),
    ],
)  # fmt: skip
def test_a_refusal_is_told_by_its_kind(made, status, body, error, retryable):
    driver, _ = made(listed() | {("POST", "/volumes"): (status, body)})
    with pytest.raises(error) as raised:
        driver.start_create(SPEC, 1, "t")
    assert type(raised.value) is error
    assert raised.value.retryable == bool(retryable)


def test_what_was_made_before_a_refusal_is_removed_and_the_refusal_told(made):
    first = volume_of(status="creating")
    driver, cinder = made(
        listed(first)
        | {
            ("POST", "/volumes"): ("413 Too Large", {"overLimit": {"message": "quota"}}),
            ("POST", f"/volumes/{IDS[0]}/metadata"): ("200 OK", {"metadata": {}}),
            ("DELETE", f"/volumes/{IDS[0]}"): ("202 Accepted", {}),
        }
    )
    handle = driver.start_create(SPEC, 2, "t")
    assert cinder.asked[-1] == ("POST", f"/volumes/{IDS[0]}/metadata")
    first["metadata"][DOOMED] = "Cinder refused: quota"
    cinder.answers |= listed(first)
    assert driver.start_create(SPEC, 2, "t") == handle
    assert driver.poll(handle).state is ProgressState.RUNNING
    cinder.answers |= listed(first | {"status": "available"})
    ended = driver.poll(handle)
    assert (ended.state, ended.error) == (ProgressState.FAILED, "Cinder refused: quota")
    assert cinder.asked[-1] == ("DELETE", f"/volumes/{IDS[0]}")


@pytest.mark.parametrize("status", ["available", "error_extending"])
def test_what_was_given_out_is_never_undone_though_another_was_removed(made, status):
    driver, cinder = made(listed(volume_of(0, status, **{MADE: "yes"})))
    handle = driver.start_create(SPEC, 2, "t")
    found = driver.poll(handle)
    assert (found.state, found.result) == (ProgressState.DONE, [IDS[0]])
    driver.cancel(handle)
    assert {method for method, _ in cinder.asked} == {"GET"}


@pytest.mark.parametrize("said", [None, "", "x", "-1", "7", "9" * 200])
def test_a_number_that_its_owner_spoiled_stops_no_undoing(made, said):
    spoiled = volume_of(1)
    del spoiled["metadata"][INDEX]
    spoiled["metadata"] |= {} if said is None else {INDEX: said}
    driver, cinder = made(
        listed(spoiled, volume_of(0, "error"))
        | {("POST", f"/volumes/{number}/metadata"): ("200 OK", {"metadata": {}}) for number in IDS}
        | {("DELETE", f"/volumes/{number}"): ("202 Accepted", {}) for number in IDS}
    )
    driver.cancel(HANDLE)
    removed = {path for method, path in cinder.asked if method == "DELETE"}
    assert removed == {f"/volumes/{IDS[0]}", f"/volumes/{IDS[1]}"}
    assert driver.poll(HANDLE).state is ProgressState.RUNNING


def test_volumes_that_are_there_are_not_asked_for_again(made):
    driver, cinder = made(listed(volume_of(status="creating")))
    driver.start_create(SPEC, 1, "t")
    assert {method for method, _ in cinder.asked} == {"GET"}


def test_a_work_that_is_taken_back_is_not_gone_on_with(made):
    driver, cinder = made(listed(volume_of(status="creating", **{DOOMED: "yes"})))
    driver.start_create(SPEC, 2, "t")
    assert driver.poll(HANDLE).state is ProgressState.RUNNING
    assert {method for method, _ in cinder.asked} == {"GET"}


def test_of_two_volumes_of_one_number_the_older_stays(made):
    driver, cinder = made(
        listed(volume_of(1), volume_of(0))
        | {
            ("POST", f"/volumes/{IDS[0]}/metadata"): ("200 OK", {"metadata": {}}),
            ("DELETE", f"/volumes/{IDS[1]}"): ("202 Accepted", {}),
        }
    )
    assert driver.poll(HANDLE).result == [IDS[0]]
    assert ("DELETE", f"/volumes/{IDS[1]}") in cinder.asked


def test_a_volume_that_was_given_out_stays_though_another_is_older(made):
    driver, cinder = made(
        listed(volume_of(0), volume_of(1, **{MADE: "yes"}))
        | {("DELETE", f"/volumes/{IDS[0]}"): ("202 Accepted", {})}
    )
    assert driver.poll(HANDLE).result == [IDS[1]]
    assert ("DELETE", f"/volumes/{IDS[0]}") in cinder.asked


def test_a_creation_that_failed_tells_what_cinder_says_and_leaves_nothing(made):
    driver, cinder = made(
        listed(volume_of(status="error"))
        | {
            ("GET", "/messages"): ("200 OK", {"messages": [{"user_message": "no host"}]}),
            ("DELETE", f"/volumes/{IDS[0]}"): ("202 Accepted", {}),
        }
    )
    ended = driver.poll(HANDLE)
    assert ended.state is ProgressState.FAILED
    assert "no host" in ended.error
    assert cinder.asked[-1] == ("DELETE", f"/volumes/{IDS[0]}")


@pytest.mark.parametrize(
    ("algorithm", "value", "state"),
    [
        ("sha512", "1" * 128, ProgressState.FAILED),
        ("sha512", SOURCE.digest, ProgressState.RUNNING),
        ("sha256", "1" * 64, ProgressState.RUNNING),
    ],
)
def test_an_image_of_other_bytes_makes_no_volume(made, algorithm, value, state):
    image = {"id": "i1", "os_hash_algo": algorithm, "os_hash_value": value}
    answers = listed(volume_of(status="creating")) | {("GET", "/images/i1"): ("200 OK", image)}
    driver, cinder = made(answers)
    handle = driver.start_create(OF_IMAGE, 1, "t")
    found = driver.poll(handle)
    assert found.state is state
    assert ("other bytes" in found.error) == (state is ProgressState.FAILED)
    assert {method for method, _ in cinder.asked} == {"GET"}
    if state is ProgressState.FAILED:
        driver.cancel(handle)
        assert driver.poll(handle) == found


def test_a_snapshot_is_uploaded_once_under_a_name_of_its_work(made):
    name = f"imagesvc-snapshot-{WORK_OF_T}"
    image = {"id": IDS[3], "name": name, "status": "saving", "size": None}
    volume = {"volume": volume_of(status="uploading", **{MADE: "yes"})}
    driver, cinder = made(
        {
            ("GET", "/images"): ("200 OK", {"images": [image]}),
            ("GET", f"/volumes/{IDS[0]}"): ("200 OK", volume),
        }
    )
    handle = driver.start_snapshot(IDS[0], "t", project_id=PROJECT)
    assert driver.poll(handle).state is ProgressState.RUNNING
    assert ("POST", f"/volumes/{IDS[0]}/action") not in cinder.asked
    image |= {"status": "active", "size": 1 << 30}
    assert driver.poll(handle).state is ProgressState.RUNNING  # the volume is not let go yet
    volume["volume"]["status"] = "available"
    assert driver.poll(handle).result == f"{PROJECT}.{IDS[3]}"


def test_a_volume_in_use_is_not_copied(made):
    refusal = {"badRequest": {"message": "Volume status must be available"}}
    driver, _ = made(
        {
            ("GET", "/images"): ("200 OK", {"images": []}),
            ("GET", f"/volumes/{IDS[0]}"): ("200 OK", {"volume": volume_of(**{MADE: "yes"})}),
            ("POST", f"/volumes/{IDS[0]}/action"): ("400 Bad Request", refusal),
        }
    )
    with pytest.raises(errors.Busy, match="must be available") as raised:
        driver.start_snapshot(IDS[0], "t", project_id=PROJECT)
    assert raised.value.retryable


def test_an_upload_that_failed_tells_what_cinder_says(made):
    image = {"id": IDS[3], "name": f"imagesvc-snapshot-{'a' * 40}", "status": "queued"}
    driver, cinder = made(
        {
            ("GET", "/images"): ("200 OK", {"images": [image]}),
            ("GET", f"/images/{IDS[3]}"): ("200 OK", image),
            ("DELETE", f"/images/{IDS[3]}"): ("204 No Content", None),
            ("GET", f"/volumes/{IDS[0]}"): ("200 OK", {"volume": volume_of()}),
            ("GET", "/messages"): ("200 OK", {"messages": [{"user_message": "no room"}]}),
        }
    )
    ended = driver.poll(f"snapshot:{PROJECT}:{IDS[0]}:{'a' * 40}")
    assert ended.state is ProgressState.FAILED
    assert "no room" in ended.error
    assert ("DELETE", f"/images/{IDS[3]}") in cinder.asked


def test_what_is_being_made_or_removed_is_not_listed(made):
    own = volume_of(3)
    own["metadata"] = {}
    driver, _ = made(
        listed(volume_of(0), volume_of(1, **{MADE: "yes"}), volume_of(2, "deleting"), own)
    )
    assert [each.volume_id for each in driver.list_volumes(PROJECT)] == [IDS[1], IDS[3]]


def test_a_reserved_volume_is_in_use_by_the_server_that_it_is_reserved_for(made):
    attachment = {"id": "a", "volume_id": IDS[0], "instance": "s1", "status": "reserved"}
    driver, _ = made(
        {
            ("GET", f"/volumes/{IDS[0]}"): (
                "200 OK", {"volume": volume_of(status="reserved", **{MADE: "yes"})},
            ),
            ("GET", "/attachments/detail"): ("200 OK", {"attachments": [attachment]}),
        }
    )  # fmt: skip
    found = driver.get_volume(IDS[0], project_id=PROJECT)
    assert (found.state, found.server_id) == (VolumeState.IN_USE, "s1")
    with pytest.raises(errors.Busy, match="s1"):
        driver.connect(IDS[0], "s2", project_id=PROJECT)
    with pytest.raises(errors.Busy, match="s1"):
        driver.delete_volume(IDS[0], project_id=PROJECT)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (ImageSource("i", 1, "raw", 1, 1, "0" * 128, ""), "first disk"),
        (ImageSource("i", 0, "raw", 1, 1, "short", ""), "digest"),
        (ImageSource("i", 0, "raw", 1, 2 << 30, "0" * 128, ""), "at least"),
    ],
)
def test_an_image_that_cinder_cannot_take_is_refused_before_it_is_asked(made, source, word):
    driver, cinder = made({})
    with pytest.raises(errors.InvalidArgument, match=word):
        driver.start_create(VolumeSpec("v", PROJECT, 1 << 30, source, "i"), 1, "t")
    assert cinder.asked == []


def test_an_image_is_asked_for_by_its_id(made):
    driver, cinder = made(
        listed() | {("POST", "/volumes"): ("202 Accepted", {"volume": volume_of()})}
    )
    driver.start_create(OF_IMAGE, 1, "t")
    assert ("POST", "/volumes") in cinder.asked


@pytest.mark.parametrize("owner", ["p2", None])
def test_a_volume_of_another_project_or_of_an_unknown_one_is_not_there(made, owner):
    other = volume_of(**{MADE: "yes"})
    other["os-vol-tenant-attr:tenant_id"] = owner
    driver, cinder = made({("GET", f"/volumes/{IDS[0]}"): ("200 OK", {"volume": other})})
    driver.delete_volume(IDS[0], project_id=PROJECT)
    for use in (
        lambda: driver.get_volume(IDS[0], project_id=PROJECT),
        lambda: driver.connect(IDS[0], "s1", project_id=PROJECT),
        lambda: driver.start_snapshot(IDS[0], "t", project_id=PROJECT),
    ):
        with pytest.raises(errors.NotFound):
            use()
    assert {method for method, _ in cinder.asked} == {"GET"}


def test_a_volume_that_is_not_made_yet_is_not_copied(made):
    answers = {("GET", f"/volumes/{IDS[0]}"): ("200 OK", {"volume": volume_of()})}
    driver, cinder = made(answers | {("GET", "/images"): ("200 OK", {"images": []})})
    with pytest.raises(errors.NotFound):
        driver.start_snapshot(IDS[0], "t", project_id=PROJECT)
    assert {method for method, _ in cinder.asked} == {"GET"}


def test_a_list_that_ignores_the_marks_removes_nothing_of_others(made):
    stranger, other_work = volume_of(1), volume_of(2, **{WORK: "b" * 40})
    stranger["metadata"] = {}
    driver, cinder = made(listed(stranger, other_work))
    driver.cancel(HANDLE)
    assert driver.poll(HANDLE).state is ProgressState.CANCELLED
    assert {method for method, _ in cinder.asked} == {"GET"}


def test_of_several_images_of_one_work_the_oldest_stays_and_all_go_with_the_snapshot(made):
    name = f"imagesvc-snapshot-{WORK_OF_T}"
    images = [
        {"id": IDS[number], "status": "active", "size": 1, "name": name, "protected": number == 2,
         "created_at": f"2026-11-29T10:00:0{9 - number}Z"}
        for number in (1, 2)
    ]  # fmt: skip
    driver, cinder = made(
        {
            ("GET", "/images"): ("200 OK", {"images": images}),
            ("GET", f"/volumes/{IDS[0]}"): ("200 OK", {"volume": volume_of()}),
        }
        | {("GET", f"/images/{image['id']}"): ("200 OK", image) for image in images}
        | {("PATCH", f"/images/{image['id']}"): ("200 OK", image) for image in images}
        | {("DELETE", f"/images/{image['id']}"): ("204 No Content", None) for image in images}
    )
    done = driver.poll(f"snapshot:{PROJECT}:{IDS[0]}:{WORK_OF_T}")
    assert done.result == f"{PROJECT}.{IDS[2]}"
    changes = [asked for asked in cinder.asked if asked[0] != "GET"]
    assert changes == [("DELETE", f"/images/{IDS[1]}")]
    cinder.asked.clear()
    driver.delete_snapshot(done.result)
    changes = [asked for asked in cinder.asked if asked[0] != "GET"]
    assert changes == [
        ("DELETE", f"/images/{IDS[1]}"),
        ("PATCH", f"/images/{IDS[2]}"),
        ("DELETE", f"/images/{IDS[2]}"),
    ]
