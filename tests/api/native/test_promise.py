"""Images with `provided_until` in the future: nothing deletes them unless the promise is broken."""

import datetime
from concurrent import futures

import pytest

from imagesvc.api import app as door
from imagesvc.context import RequestContext
from tests.api.caller import Caller
from tests.api.conftest import configure, working

DAY = datetime.timedelta(days=1)


def _day(days):
    return (datetime.datetime.now(datetime.UTC) + days * DAY).date().isoformat()


def _promise(caller, image_id, **body):
    return caller.request("PATCH", f"/imagesvc/v1/images/{image_id}/promise", body)


@pytest.fixture
def owner(app):
    return Caller(app)


@pytest.fixture
def admin(app):
    return Caller(app, None, "admin", "member")


@pytest.fixture
def promised(owner):
    """An active image that is provided until tomorrow."""
    return owner.active(b"promised", provided_until=_day(1))


def _events(admin, image_id, action):
    found = admin.get("/imagesvc/v1/audit", query_string=f"target_id={image_id}&action={action}")
    return [(one["outcome"], one["detail"]) for one in found.json["events"]]


def test_a_promised_image_is_deleted_by_nobody_in_no_dialect(owner, admin, promised):
    for caller in (owner, admin):
        for path in (f"/v2/images/{promised}", f"/imagesvc/v1/images/{promised}"):
            found = caller.request("DELETE", path)
            assert found.status_code == 409, found.text
            assert "break_promise" in found.text
    native = owner.request("DELETE", f"/imagesvc/v1/images/{promised}")
    assert native.json["error"]["reason"] == "image-promised"
    assert owner.get(f"/v2/images/{promised}/file").content == b"promised"


def test_an_administrator_breaks_a_promise_with_a_reason_that_the_trail_keeps(
    owner, admin, promised
):
    path = f"/imagesvc/v1/images/{promised}"
    for blank in ("", "%20"):
        refused = admin.request("DELETE", path, query_string=f"break_promise={blank}")
        assert refused.status_code in (400, 409)
    done = admin.request("DELETE", path, query_string="break_promise=a%20key%20leaked")
    assert done.status_code == 204, done.text
    assert owner.get(f"/v2/images/{promised}").status_code == 404
    (detail,) = [
        one for outcome, one in _events(admin, promised, "image:delete") if outcome == "success"
    ]
    assert detail["promise_broken"]["reason"] == "a key leaked"


def test_the_owner_breaks_no_promise(owner, promised):
    refused = owner.request(
        "DELETE", f"/imagesvc/v1/images/{promised}", query_string="break_promise=want"
    )
    assert refused.status_code == 403
    assert _promise(owner, promised, provided_until=None, break_promise="want").status_code == 403
    assert owner.get(f"/v2/images/{promised}").json["provided_until"] == _day(1)


def test_a_promise_is_made_longer_by_the_owner_and_shorter_by_nobody(owner, admin, promised):
    for caller in (owner, admin):
        for value in (_day(0), "none", "notice", None):
            assert _promise(caller, promised, provided_until=value).status_code == 409
    assert owner.patch(promised, ("replace", "/provided_until", _day(0))).status_code == 409
    assert owner.patch(promised, ("remove", "/provided_until")).status_code == 409
    assert owner.patch(promised, ("replace", "/provided_until", _day(3))).status_code == 200
    longer = _promise(owner, promised, provided_until=_day(5), uuid_validity="last-3")
    assert longer.json["image"]["provided_until"].startswith(_day(6))
    shown = owner.get(f"/v2/images/{promised}").json
    assert (shown["provided_until"], shown["uuid_validity"]) == (_day(5), "last-3")


def test_an_administrator_shortens_a_promise_with_a_reason(owner, admin, promised):
    done = _promise(admin, promised, provided_until=None, break_promise="end of life")
    assert done.json["image"]["provided_until"] is None
    ((_, detail),) = _events(admin, promised, "image:update")
    assert detail["promise_broken"]["reason"] == "end of life"
    assert owner.request("DELETE", f"/v2/images/{promised}").status_code == 204


def test_a_promise_that_ended_and_one_without_a_date_hold_nothing(owner):
    for value in (_day(-2), "none", "notice"):
        image_id = owner.create(provided_until=value)["id"]
        assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204


def test_a_record_without_bytes_is_promised_too(owner):
    image_id = owner.create(provided_until=_day(1))["id"]
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 409


def test_what_is_no_date_is_no_promise(owner):
    body = {"disk_format": "raw", "container_format": "bare", "provided_until": "soon"}
    assert owner.request("POST", "/v2/images", body).status_code == 400
    image_id = owner.create()["id"]
    for value in ("soon", "2030-13-01", "9999-12-31"):
        assert owner.patch(image_id, ("add", "/provided_until", value)).status_code == 400


@pytest.mark.parametrize("reason", ["%00", "a%00b", "%ED%A0%80", "x" * 256, "%20"])
def test_what_no_trail_keeps_is_no_reason(each_app, reason):
    admin = Caller(each_app, None, "admin", "member")
    image_id = admin.active(provided_until=_day(1))
    path = f"/imagesvc/v1/images/{image_id}"
    refused = admin.request("DELETE", path, query_string=f"break_promise={reason}")
    assert refused.status_code == 400, refused.text
    sent = {"a%00b": "a\0b", "%00": "\0", "%20": " "}.get(reason, "x" * 256)
    refused = _promise(admin, image_id, provided_until=None, break_promise=sent)
    assert refused.status_code == 400, refused.text
    assert admin.get(f"/v2/images/{image_id}").json["provided_until"] == _day(1)


@pytest.mark.parametrize(
    "value", ["\0", "2030-06-30\x00", "\ud800", "x" * 256, 7, True, [], {}, ""]
)
def test_what_is_no_text_is_no_promise(each_app, value):
    owner = Caller(each_app)
    image_id = owner.create()["id"]
    for name in ("provided_until", "replace_frequency", "uuid_validity"):
        assert _promise(owner, image_id, **{name: value}).status_code == 400, name
    assert owner.patch(image_id, ("add", "/provided_until", value)).status_code == 400
    body = {"disk_format": "raw", "container_format": "bare", "provided_until": value}
    assert owner.request("POST", "/v2/images", body).status_code == 400


def test_of_two_who_promise_at_once_nobody_makes_it_shorter(each_app):
    owner = Caller(each_app)
    image_id = owner.active(provided_until=_day(1))
    days = [_day(n) for n in range(2, 10)]
    with futures.ThreadPoolExecutor(len(days)) as pool:
        told = list(pool.map(lambda day: _promise(owner, image_id, provided_until=day), days))
    assert {one.status_code for one in told} <= {200, 409}
    assert owner.get(f"/v2/images/{image_id}").json["provided_until"] == days[-1]
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 409


def test_what_a_service_makes_of_a_promised_image_is_promised_to_nobody(owner, strict):
    """Nova and Cinder hand all properties of an image on to what they make of its servers and volumes."""
    handed = {"provided_until": _day(9), "uuid_validity": "last-3", "os_distro": "debian"}
    formats = {"disk_format": "raw", "container_format": "bare"}
    nova = {"base_image_ref": "an-image", "image_type": "snapshot"}
    token = {"X-Service-Token": "cinder/services/service"}
    for caller in (owner, Caller(strict)):
        for more, headers in ((nova, {}), ({}, token)):
            body = formats | handed | more
            made = caller.request("POST", "/v2/images", body, headers=headers)
            assert made.status_code == 201, made.text
            assert made.json["os_distro"] == "debian"
            assert not {"provided_until", "uuid_validity"} & set(made.json)
            path = f"/v2/images/{made.json['id']}"
            assert caller.request("DELETE", path).status_code == 204


def test_a_copy_is_promised_to_nobody(owner, service, promised):
    found = owner.request("POST", f"/imagesvc/v1/images/{promised}/copy", {"name": "copy"})
    copy = owner.get(f"/v2/images/{found.json['image_id']}").json
    assert "provided_until" not in copy
    caller = RequestContext("user", owner.project, frozenset({"member"}))
    service.deletions.delete(caller, copy["id"])


def test_a_promise_of_another_project_is_not_seen(app, promised):
    stranger = Caller(app)
    assert _promise(stranger, promised, provided_until=_day(9)).status_code == 404
    assert stranger.request("DELETE", f"/imagesvc/v1/images/{promised}").status_code == 404


POLICY = """
"image:promise": "role:admin"
"task:create": "role:member"
"""


@pytest.fixture
def strict(tmp_path):
    """The application of an operator who lets nobody but administrators promise."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    with working(configure(tmp_path)) as made:
        yield door.create_app(made)


def _doors(caller, value):
    """Each door by which a caller may promise, as (status, what made the image)."""
    image_id = caller.create()["id"]
    there = {"provided_until": value}
    formats = {"disk_format": "raw", "container_format": "bare"}
    url = "https://example.org/image"
    source = {"import_from": url, "import_from_format": "raw"}
    brought = {"name": "x", "disk_format": "raw", "source": {"type": "url", "url": url}}
    return {
        "create": caller.request("POST", "/v2/images", formats | there),
        "update": caller.patch(image_id, ("add", "/provided_until", value)),
        "task": caller.request(
            "POST", "/v2/tasks",
            {"type": "import", "input": {**source, "image_properties": {"name": "x", **there}}},
        ),
        "import": caller.request("POST", "/imagesvc/v1/imports", {**brought, "properties": there}),
        "promise": _promise(caller, image_id, **there),
    }  # fmt: skip


@pytest.mark.parametrize("value", [_day(1), "none"])
def test_whoever_may_not_promise_does_so_by_no_door(strict, value):
    owner = Caller(strict)
    found = {name: one.status_code for name, one in _doors(owner, value).items()}
    assert found == dict.fromkeys(found, 403)
    assert [
        owner.get(f"/v2/images/{one}").json.get("provided_until") for one in owner.listed()
    ] == [None]
    admin = Caller(strict, owner.project, "admin", "member")
    told = {name: one.status_code for name, one in _doors(admin, value).items()}
    assert all(200 <= status < 300 for status in told.values()), told
