"""What a project uses, in the words of Glance."""

from tests.api.caller import Caller

MIB = 1 << 20


def test_usage_is_that_of_the_callers_project(app):
    owner, admin = Caller(app), Caller(app, None, "admin")
    limits = {"images": 10, "stored_bytes": 5 * MIB}
    path = f"/imagesvc/v1/quota/{owner.project}"
    assert admin.request("PUT", path, limits).status_code == 200
    owner.active(b"x" * (MIB + MIB // 2))
    owner.create()
    found = owner.get("/v2/info/usage")
    assert found.status_code == 200
    assert found.json == {
        "usage": {
            "image_count_total": {"usage": 2, "limit": 10},
            "image_size_total": {"usage": 1, "limit": 5},
            "image_count_uploading": {"usage": 0, "limit": -1},
        }
    }
    assert Caller(app).get("/v2/info/usage").json["usage"]["image_count_total"]["usage"] == 0


def test_a_reader_sees_usage_and_nobody_changes_it(app):
    reader = Caller(app, None, "reader")
    assert reader.get("/v2/info/usage").status_code == 200
    assert reader.request("PUT", "/v2/info/usage", {}).status_code == 405
    assert Caller(app, token="none").get("/v2/info/usage").status_code == 401
