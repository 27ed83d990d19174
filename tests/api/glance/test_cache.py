"""The cache of images: there is none, and everyone is told so."""

import pytest

from tests.api.caller import Caller

CALLS = [
    ("GET", "/v2/cache"), ("DELETE", "/v2/cache"), ("PUT", "/v2/cache/{}"),
    ("DELETE", "/v2/cache/{}"), ("POST", "/v2/cache/nodes/{}"), ("GET", "/v2/cache/nodes/{}"),
    ("GET", "/v2/queued_images"), ("PUT", "/v2/queued_images/{}"), ("GET", "/v2/cached_images"),
]  # fmt: skip


@pytest.mark.parametrize("role", ["admin", "member"])
@pytest.mark.parametrize(("method", "path"), CALLS)
def test_there_is_no_cache(app, role, method, path):
    owner = Caller(app, None, role)
    found = owner.request(method, path.format(owner.active()))
    assert found.status_code == 404
    if path in ("/v2/cache", "/v2/cache/{}"):
        assert "no cache" in found.text


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_nobody_is_told_anything_of_a_cache_without_a_token(app, method, path):
    assert Caller(app, token="none").request(method, path.format("x")).status_code == 401


def test_no_version_tells_of_a_cache(app):
    versions = Caller(app).get("/versions").json["versions"]
    assert not {"v2.14", "v2.16", "v2.18"} & {one["id"] for one in versions}
