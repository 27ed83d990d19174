"""Hostile JSON over every JSON route of the door: 400, never 500, and nothing is kept."""

import pytest

from tests.api.caller import PATCH, Caller

ROUTES = [
    ("POST", "/v2/images", "application/json", "{%s}"),
    ("PATCH", "/v2/images/{image}", PATCH, '[{"op": "add", "path": "/x", %s}]'),
    ("POST", "/v2/images/{image}/members", "application/json", "{%s}"),
    ("PUT", "/v2/images/{image}/members/{project}", "application/json", "{%s}"),
    ("POST", "/imagesvc/v1/servers", "application/json", "{%s}"),
    ("POST", "/imagesvc/v1/captures", "application/json", "{%s}"),
]
DEEP = 100_000
FIELDS = {
    "nan": '"value": NaN',
    "infinity": '"value": -Infinity',
    "overflow": '"value": 1e400',
    "duplicate": '"value": "a", "value": "b"',
    "surrogate": '"value": "\\ud800"',
    "surrogate-key": '"\\ud800": "a"',
    "nul": '"value": "a\\u0000b"',
    "nul-key": '"\\u0000": "a"',
    "integer": f'"value": {2**63}',
    "long-integer": f'"value": {"9" * 5000}',
    "deep": f'"value": {"[" * 40}{"]" * 40}',
    "very-deep": f'"value": {"[" * 30_000}',
    "cut": '"value": "a',
}


@pytest.fixture(scope="module")
def shared(app):
    owner = Caller(app)
    return owner, owner.active(visibility="shared")


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]}-{route[1]}")
def test_hostile_json_is_400(shared, route, field):
    method, path, kind, frame = route
    owner, image_id = shared
    found = owner.request(
        method,
        path.format(image=image_id, project=owner.project),
        (frame % field).encode(),
        kind=kind,
    )
    assert found.status_code == 400, found.text


@pytest.mark.parametrize("body", [b"", b" ", b"\xff\xfe", b"1", b'"text"', b"null", b"true"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]}-{route[1]}")
def test_a_body_of_the_wrong_root_is_400(shared, route, body):
    method, path, kind, _frame = route
    owner, image_id = shared
    target = path.format(image=image_id, project=owner.project)
    assert owner.request(method, target, body, kind=kind).status_code == 400


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/json", "application/xml"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]}-{route[1]}")
def test_another_media_type_is_415(shared, route, kind):
    method, path, _kind, _frame = route
    owner, image_id = shared
    target = path.format(image=image_id, project=owner.project)
    found = owner.request(method, target, b"{}", kind=kind)
    assert found.status_code == 415
    if method == "PATCH":
        assert "v2.1-json-patch" in found.headers["Accept-Patch"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]}-{route[1]}")
@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversize_body_is_413(shared, route, chunked):
    method, path, kind, _frame = route
    owner, image_id = shared
    body = b'{"value": "' + b"x" * 1_100_000 + b'"}'
    target = path.format(image=image_id, project=owner.project)
    more = {"extras": {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}} if chunked else {}
    assert owner.request(method, target, body, kind=kind, **more).status_code == 413


def test_a_chunked_json_body_is_read(app):
    owner = Caller(app)
    found = owner.request(
        "POST",
        "/v2/images",
        b'{"name": "chunked"}',
        kind="application/json",
        extras={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert (found.status_code, found.json["name"]) == (201, "chunked")


@pytest.mark.parametrize("name", ["\U0001f600", "e\u0301", "\u202eright", "line\r\nbreak", "=1+1"])
def test_any_text_that_can_be_kept_comes_back(app, name):
    owner = Caller(app)
    image = owner.create(name=name, note=name)
    assert owner.get(f"/v2/images/{image['id']}").json["name"] == name
    assert image["note"] == name
