"""Locations that stay where they are, added, described and removed by patches."""

import contextlib
import hashlib
import socket
import threading

import pytest

from imagesvc.api import pace
from tests import hostile_image
from tests.api.caller import Caller
from tests.api.glance.conftest import DATA
from tests.api.glance.foreign_site import Far
from tests.web_server import answer

SAID = {"checksum": "1" * 32, "os_hash_algo": "sha512", "os_hash_value": "deadbeef" * 16}


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    made = Far(tmp_path_factory.mktemp("far"))
    yield made
    made.close()


@pytest.fixture
def queued(far):
    return far.owner.create()["id"]


def add(far, image_id, where="-", **given):
    """Add a location."""
    return far.owner.patch(image_id, ("add", f"/locations/{where}", far.value(**given)))


def test_a_queued_image_is_active_with_the_location_as_it_was_given(far, queued):
    found = add(far, queued, metadata={"foo": "bar"})
    assert found.status_code == 200, found.text
    for image in (found.json, far.image(queued)):
        assert (image["status"], image["size"], image["stores"]) == ("active", len(DATA), "web")
        expected = {"url": far.url(), "metadata": {"foo": "bar", "store": "web"}}
        assert (image["locations"], image["direct_url"]) == ([expected], far.url())
        unknown = ("checksum", "os_hash_algo", "os_hash_value")
        assert [image[name] for name in unknown] == [None] * 3
    assert image["virtual_size"] == len(DATA)
    listed = far.admin.get(f"/v2/images/{queued}/locations").json
    assert listed == [expected]
    (in_list,) = far.owner.get("/v2/images", query_string=f"id={queued}").json["images"]
    assert (in_list["stores"], in_list["locations"]) == ("web", [expected])
    assert far.several.keys("plain") == []


def test_locations_are_in_the_order_that_was_asked_for(far):
    image_id = far.linked()
    assert add(far, image_id, path="/image#new").status_code == 200
    assert add(far, image_id, where=0, path="/parts/image").status_code == 200
    image = far.image(image_id)
    wanted = [far.url(path) for path in ("/parts/image", "/image", "/image#new")]
    assert [one["url"] for one in image["locations"]] == wanted
    assert (image["direct_url"], image["status"]) == (wanted[0], "active")
    assert add(far, image_id, path="/image#more").status_code == 413


@pytest.mark.parametrize(
    ("status", "where", "given"),
    [
        (400, "-", {}), (400, "2", {"path": "/image#b"}), (400, "-", {"path": "/absent"}),
        (400, "-", {"url": "gopher://info.cern.ch"}), (400, "-", {"url": "file:///etc/passwd"}),
        (400, "-", {"url": "http://169.254.169.254/"}),
        (400, "-", {"path": "/image#b", "metadata": {"store": "plain"}}),
        (400, "-", {"path": "/image#b", "metadata": {"x": "y" * 4096}}),
        (409, "-", {"path": "/image#b", "validation_data": {"checksum": "0" * 32}}),
        (409, "-", {"path": "/short"}),
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_fit_to_an_image_is_not_added(far, status, where, given):
    image_id = far.linked()
    far.pages["/short"] = DATA[:-1]
    found = add(far, image_id, where, **given)
    assert found.status_code == status, found.text
    assert [one["url"] for one in far.image(image_id)["locations"]] == [far.url()]


def test_digests_are_believed_and_further_locations_have_the_same(far):
    image_id = far.linked(validation=SAID)
    image = far.image(image_id)
    assert {name: image[name] for name in SAID} == SAID
    for name, other in (("checksum", "2" * 32), ("os_hash_value", "beefdead" * 16),
                        ("os_hash_algo", "sha256")):  # fmt: skip
        found = add(far, image_id, path="/image#new", validation_data={**SAID, name: other})
        assert found.status_code == 409, found.text
    assert add(far, image_id, path="/image#new", validation_data=SAID).status_code == 200
    image = far.image(image_id)
    assert {name: image[name] for name in SAID} == SAID
    assert all(one.keys() == {"url", "metadata"} for one in image["locations"])
    assert len(image["locations"]) == 2


def test_a_list_is_replaced_by_one_of_the_same_urls(far):
    image_id = far.linked()
    add(far, image_id, path="/image#new", metadata={"speed": "88mph"})
    places = far.image(image_id)["locations"]
    places[0]["metadata"]["date"] = "2015-10-15"
    found = far.owner.patch(image_id, ("replace", "/locations", places))
    assert (found.status_code, found.json["locations"]) == (200, places)
    other = {**places[1], "url": far.url("/image#new3")}
    for wanted, status in (([places[0]], 400), ([places[0], other], 400), ([], 403),
                           ([*places, other], 400), ([places[0], places[0]], 400)):  # fmt: skip
        found = far.owner.patch(image_id, ("replace", "/locations", wanted))
        assert found.status_code == status, found.text
    assert far.image(image_id)["locations"] == places
    assert far.owner.patch(image_id, ("replace", "/locations", places[::-1])).status_code == 200
    assert far.image(image_id)["direct_url"] == places[1]["url"]


def test_a_list_of_one_is_the_location_of_a_queued_image(far, queued):
    two = [far.value(), far.value("/image#new")]
    assert far.owner.patch(queued, ("replace", "/locations", two)).status_code == 400
    assert far.owner.patch(queued, ("replace", "/locations", two[:1])).status_code == 200
    assert far.image(queued)["status"] == "active"


def test_administrators_remove_locations_but_the_last(far):
    image_id = far.linked()
    add(far, image_id, path="/image#new")
    assert far.owner.patch(image_id, ("remove", "/locations/0")).status_code == 403
    assert far.admin.patch(image_id, ("remove", "/locations/2")).status_code == 400
    both = [("remove", "/locations/1"), ("remove", "/locations/0")]
    assert far.admin.patch(image_id, *both).status_code == 403
    assert far.admin.patch(image_id, ("remove", "/locations/0")).status_code == 200
    image = far.image(image_id)
    assert [one["url"] for one in image["locations"]] == [far.url("/image#new")]
    assert image["direct_url"] == far.url("/image#new")
    assert far.admin.patch(image_id, ("remove", "/locations/0")).status_code == 403
    assert far.admin.request("DELETE", f"/v2/stores/web/{image_id}").status_code == 403


def test_only_who_may_add_locations_does(far):
    app, operation = far.several.app, ("add", "/locations/-", far.value())
    image_id = far.owner.create(visibility="community")["id"]
    assert Caller(app, far.owner.project, "reader").patch(image_id, operation).status_code == 403
    assert Caller(app).patch(image_id, operation).status_code == 403
    private = far.owner.create(visibility="private")["id"]
    assert Caller(app).patch(private, operation).status_code == 404
    assert far.admin.patch(private, operation).status_code == 200


def test_a_stranger_makes_the_service_ask_nobody(far):
    image_id = far.owner.create(visibility="community")["id"]
    asked = len(far.web.requests)
    Caller(far.several.app).patch(image_id, ("add", "/locations/-", far.value()))
    far.owner.patch(far.owner.active(), ("add", "/locations/9", far.value()))
    assert len(far.web.requests) == asked


def test_an_image_without_formats_takes_none(far):
    image_id = far.owner.request("POST", "/v2/images", {}).json["id"]
    assert add(far, image_id).status_code == 400
    assert far.image(image_id)["status"] == "queued"


def test_a_url_that_gives_nothing_is_refused_with_one_text(far, queued):
    far.pages["/slow"] = lambda head, connection: connection.recv(1)
    texts = set()
    for path in ("/absent", "/slow"):
        found = add(far, queued, path=path)
        assert found.status_code == 400
        texts.add(found.text.replace(path, ""))
    assert len(texts) == 1
    assert (far.image(queued)["status"], far.image(queued)["locations"]) == ("queued", [])


@pytest.mark.parametrize(
    ("status", "values", "data"),
    [
        (415, {}, hostile_image.qcow2()),
        (415, {"disk_format": "qcow2"}, DATA),
        (415, {"disk_format": "qcow2"}, hostile_image.qcow2(backing=b"/etc/passwd")),
        (415, {"disk_format": "qcow2"}, hostile_image.qcow2(backing=b"/x") + bytes(1 << 20)),
        (415, {"container_format": "docker"}, DATA),
        (200, {"disk_format": "qcow2"}, hostile_image.qcow2()),
        (200, {}, b""),
    ],
    ids=["qcow2 as raw", "raw as qcow2", "backing", "backing, longer", "docker", "qcow2", "empty"],
)
def test_the_first_bytes_are_judged_before_an_image_is_active(far, status, values, data):
    far.pages["/judged"] = data
    image_id = far.owner.create(**values)["id"]
    found = add(far, image_id, path="/judged")
    assert found.status_code == status, found.text
    assert far.image(image_id)["status"] == ("active" if status == 200 else "queued")


def test_only_the_first_bytes_are_read(far):
    sent = []

    def endless(head, connection):
        connection.sendall(answer(b"", length=9_000_000))
        while len(sent) < 9:
            connection.sendall(bytes(1_000_000))
            sent.append(1)

    far.pages["/endless"] = endless
    image_id = far.linked("/endless")
    assert far.image(image_id)["size"] == 9_000_000
    assert len(sent) < 9


def test_a_server_that_does_not_say_the_size_is_read_if_the_image_is_short(far):
    def send(data):
        return lambda head, connection: connection.sendall(answer(data, length=None))

    far.pages |= {"/short": send(bytes(1000)), "/long": send(bytes(1_000_000))}
    assert far.image(far.linked("/short"))["size"] == 1000
    image_id = far.owner.create()["id"]
    assert add(far, image_id, path="/long").status_code == 400


def test_an_image_above_the_limit_is_refused(far, queued):
    far.pages["/large"] = lambda head, link: link.sendall(answer(b"", length=10_000_001))
    assert add(far, queued, path="/large").status_code == 413


def test_a_format_that_is_changed_while_the_url_is_asked_is_not_taken_for_judged(far, queued):
    def change_meanwhile(head, connection):
        far.owner.patch(queued, ("replace", "/disk_format", "qcow2"))
        connection.sendall(answer(DATA))

    far.pages["/meanwhile"] = change_meanwhile
    assert add(far, queued, path="/meanwhile").status_code == 409
    assert far.image(queued)["status"] == "queued"


@pytest.mark.parametrize("call", [add, Far.post])
def test_short_calls_keep_their_threads_while_urls_are_asked(far, queued, call):
    asked = len(far.web.requests)
    for free, status in ((0, 503), (1, (200, 202))):
        slots = threading.Semaphore(free)
        with contextlib.closing(socket.socket()) as sock:
            token = pace.current.set(pace.Watch(sock, slots, 0.0))
            found = call(far, queued)
            pace.current.reset(token)
        assert found.status_code in (status if free else (status,)), found.text
        assert len(far.web.requests) == asked + free
        assert slots.acquire(blocking=False) is bool(free)
    far.several.work()


def test_an_image_with_bytes_of_its_own_takes_one_more_copy_as_ever(far):
    image_id = far.owner.active(DATA)
    found = add(far, image_id)
    assert found.status_code == 200, found.text
    image = far.done(image_id)
    assert image["stores"] == "fast,plain"
    assert far.image(image_id)["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    far.owner.request("DELETE", f"/v2/images/{image_id}")


def test_neither_audit_nor_log_shows_more_of_a_url_than_its_host(far, queued, caplog):
    far.pages["/signed?key=SECRET"] = DATA
    assert add(far, queued, path="/signed?key=SECRET").status_code == 200
    del far.pages["/signed?key=SECRET"]
    assert far.owner.get(f"/v2/images/{queued}/file").status_code == 503
    assert "SECRET" not in caplog.text
    assert f"127.0.0.1:{far.web.port}" in caplog.text
    found = far.owner.get("/imagesvc/v1/audit", query_string=f"target_id={queued}")
    assert "SECRET" not in found.text
    (event,) = [one for one in found.json["events"] if one["action"] == "location:add"]
    assert event["detail"]["from"] == f"http://127.0.0.1:{far.web.port}"


def test_a_deleted_image_leaves_no_url(far):
    image_id = far.linked()
    assert far.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    with far.several.service.database.read() as conn:
        found = conn.exec_driver_sql(
            "SELECT count(*) FROM foreign_location WHERE image_id = ?", (image_id,)
        )
        assert found.scalar() == 0
