"""Who may do what to metadata definitions: two projects, each call, on both engines."""

import pytest

from tests.api.caller import Caller
from tests.api.glance import metadef
from tests.api.glance.metadef import NAMESPACES, PROPERTY, path

CONTENT = {
    "properties": {"p": PROPERTY},
    "objects": [{"name": "o"}],
    "tags": [{"name": "t"}],
    "resource_type_associations": [{"name": "R"}],
}
READS = [(), ("objects",), ("objects", "o"), ("properties",), ("properties", "p"), ("tags",),
         ("tags", "t"), ("resource_types",)]  # fmt: skip
WRITES = [
    ("PUT", (), {"namespace": None}),
    ("POST", ("objects",), {"name": "new"}),
    ("PUT", ("objects", "o"), {"name": "o"}),
    ("DELETE", ("objects", "o"), None),
    ("DELETE", ("objects",), None),
    ("POST", ("properties",), {"name": "new", **PROPERTY}),
    ("PUT", ("properties", "p"), {"name": "p", **PROPERTY}),
    ("DELETE", ("properties", "p"), None),
    ("DELETE", ("properties",), None),
    ("POST", ("tags", "new"), None),
    ("POST", ("tags",), {"tags": [{"name": "new"}]}),
    ("PUT", ("tags", "t"), {"name": "u"}),
    ("DELETE", ("tags", "t"), None),
    ("DELETE", ("tags",), None),
    ("POST", ("resource_types",), {"name": "new"}),
    ("DELETE", ("resource_types", "R"), None),
    ("DELETE", (), None),
]
#        side     roles        visibility sees   writes
ROWS = [
    ("owner", ("member",), "public", True, 403),
    ("owner", ("member",), "private", True, 403),
    ("owner", ("reader",), "private", True, 403),
    ("other", ("member",), "public", True, 403),
    ("other", ("member",), "private", False, 404),
    ("other", ("reader",), "private", False, 404),
    ("other", ("service",), "private", False, 404),
    ("other", ("service",), "public", True, 403),
    ("nobody", ("member",), "public", True, 403),
    ("nobody", ("member",), "private", False, 404),
    ("other", ("admin",), "private", True, None),
    ("nobody", ("admin",), "private", True, None),
]


def world(app, side, roles, visibility):
    """A namespace of one project, and the caller of a row."""
    admin, owner, other = metadef.admin_of(app), Caller(app), Caller(app)
    made = metadef.make(admin, visibility=visibility, owner=owner.project, **CONTENT)
    project = {"owner": owner.project, "other": other.project, "nobody": ""}[side]
    return made["namespace"], Caller(app, project, *roles)


@pytest.mark.parametrize(("side", "roles", "visibility", "sees", "_writes"), ROWS)
def test_a_caller_reads_what_the_table_says(each_app, side, roles, visibility, sees, _writes):
    name, caller = world(each_app, side, roles, visibility)
    for below in READS:
        assert caller.get(path(name, *below)).status_code == (200 if sees else 404), below
    found = caller.get(NAMESPACES, query_string="limit=1000").json["namespaces"]
    assert (name in [one["namespace"] for one in found]) is sees
    found = caller.get(NAMESPACES, query_string=f"marker={name}")
    assert found.status_code == (200 if sees else 404)
    assert caller.get("/v2/metadefs/resource_types").status_code == 200


@pytest.mark.parametrize(("side", "roles", "visibility", "_sees", "writes"), ROWS)
def test_a_caller_changes_what_the_table_says(each_app, side, roles, visibility, _sees, writes):
    name, caller = world(each_app, side, roles, visibility)
    admin = metadef.admin_of(each_app)
    before = admin.get(path(name)).json
    for method, below, body in WRITES:
        body = {"namespace": name} if body == {"namespace": None} else body
        if writes is None:
            name, caller = world(each_app, side, roles, visibility)
            body = {"namespace": name} if below == () and body else body
        found = caller.request(method, path(name, *below), body)
        assert (found.status_code if writes else found.status_code < 300) == (writes or True), (
            method,
            below,
        )
    if writes:
        assert admin.get(path(name)).json == before
    found = caller.request("POST", NAMESPACES, {"namespace": metadef.unique()})
    assert found.status_code == (403 if writes else 201)


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_nobody_does_anything_without_a_token_or_a_role(each_app, visibility):
    name, _ = world(each_app, "owner", (), visibility)
    for below in READS:
        assert Caller(each_app, token="none").get(path(name, *below)).status_code == 401
    for method, below, body in WRITES:
        found = Caller(each_app, token="none").request(method, path(name, *below), body)
        assert found.status_code == 401
    stranger = Caller(each_app, token="u/p/")
    expected = 403 if visibility == "public" else 404
    for below in READS:
        assert stranger.get(path(name, *below)).status_code == expected
    assert stranger.get(NAMESPACES).status_code == 403


def test_a_namespace_that_is_not_seen_looks_like_one_that_is_not_there(each_app):
    name, caller = world(each_app, "other", ("member",), "private")
    absent = metadef.unique()
    for below in READS:
        hidden, gone = (caller.get(path(one, *below)) for one in (name, absent))
        assert hidden.text.replace(name, absent) == gone.text
