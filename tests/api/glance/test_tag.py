"""Tags."""

from urllib import parse

import pytest

from tests.api.caller import Caller


@pytest.fixture
def owner(app):
    return Caller(app)


@pytest.mark.parametrize("tag", ["t", "a b", "é\U0001f600", "a:b", "%", "t" * 255])
def test_a_tag_is_added_and_removed(owner, tag):
    image_id = owner.create()["id"]
    path = f"/v2/images/{image_id}/tags/{parse.quote(tag, safe='')}"
    for _ in range(2):
        found = owner.request("PUT", path)
        assert (found.status_code, found.content) == (204, b"")
    assert owner.get(f"/v2/images/{image_id}").json["tags"] == [tag]
    assert owner.request("DELETE", path).status_code == 204
    assert owner.request("DELETE", path).status_code == 404


def test_a_tag_has_at_most_255_characters(owner):
    image_id = owner.create()["id"]
    assert owner.request("PUT", f"/v2/images/{image_id}/tags/{'t' * 256}").status_code == 400


def test_tags_are_limited(owner):
    image_id = owner.create(tags=[f"t{n}" for n in range(128)])["id"]
    assert owner.request("PUT", f"/v2/images/{image_id}/tags/t0").status_code == 204
    assert owner.request("PUT", f"/v2/images/{image_id}/tags/more").status_code == 413


def test_tags_are_replaced_as_a_whole_by_a_patch(owner):
    image_id = owner.create(tags=["a", "b"])["id"]
    found = owner.patch(image_id, ("replace", "/tags", ["c", "b", "c"]))
    assert sorted(found.json["tags"]) == ["b", "c"]
