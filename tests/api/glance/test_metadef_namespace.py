"""Namespaces of metadata definitions, on both engines."""

import re

import pytest

from tests.api.caller import Caller
from tests.api.glance import metadef
from tests.api.glance.metadef import NAMESPACES, PROPERTY, path
from tests.unit.db import make as rows

WHOLE = {
    "display_name": "All",
    "description": "Everything",
    "visibility": "public",
    "protected": False,
    "resource_type_associations": [
        {"name": "OS::Nova::Flavor", "prefix": "hw:", "properties_target": "there"},
        {"name": "OS::Glance::Image"},
    ],
    "properties": {"colour": PROPERTY, "size": {"title": "Size", "type": "number", "minimum": 1.5}},
    "objects": [
        {
            "name": "box",
            "description": "A box",
            "required": ["lid"],
            "properties": {"lid": PROPERTY},
        }
    ],
    "tags": [{"name": "one"}, {"name": "two"}],
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def admin(each_app):
    return metadef.admin_of(each_app)


def listed(caller, query=""):
    found = caller.get(NAMESPACES, query_string=query)
    assert found.status_code == 200, found.text
    return [one["namespace"] for one in found.json["namespaces"]]


def ordered(shown):
    """The same with its lists by name: their order is nobody's promise."""
    return {
        key: sorted(value, key=lambda one: one["name"]) if isinstance(value, list) else value
        for key, value in shown.items()
    }


def test_a_namespace_is_made_with_all_that_is_in_it(admin):
    name = metadef.unique()
    found = admin.request("POST", NAMESPACES, {"namespace": name, **WHOLE})
    assert found.status_code == 201
    assert found.headers["Location"] == f"http://falconframework.org{path(name)}"
    shown = admin.get(path(name))
    assert shown.status_code == 200
    assert ordered(shown.json) == ordered(found.json)
    body = shown.json
    assert {key: body[key] for key in ("display_name", "description", "visibility")} == {
        "display_name": "All",
        "description": "Everything",
        "visibility": "public",
    }
    assert body["protected"] is False
    assert body["owner"] == admin.project
    assert (body["self"], body["schema"]) == (path(name), "/v2/schemas/metadefs/namespace")
    assert TIME.fullmatch(body["created_at"])
    assert TIME.fullmatch(body["updated_at"])
    assert body["properties"] == WHOLE["properties"]
    assert body["tags"] in (WHOLE["tags"], WHOLE["tags"][::-1])
    (box,) = body["objects"]
    assert {**box, **WHOLE["objects"][0]} == box
    assert box["self"] == path(name, "objects", "box")
    kept = {one["name"]: one for one in body["resource_type_associations"]}
    assert kept["OS::Nova::Flavor"]["prefix"] == "hw:"
    assert kept["OS::Nova::Flavor"]["properties_target"] == "there"
    assert set(kept["OS::Glance::Image"]) == {"name", "created_at", "updated_at"}


def test_what_is_not_set_and_what_is_empty_is_left_out(admin):
    made = metadef.make(admin, properties={}, objects=[], tags=[])
    assert set(made) == {
        "namespace", "visibility", "protected", "owner", "created_at", "updated_at", "self",
        "schema",
    }  # fmt: skip
    assert (made["visibility"], made["protected"]) == ("private", False)
    assert admin.get(path(made["namespace"])).json == made


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"namespace": "n" * 81}, 400),
        ({"namespace": ""}, 400),
        ({"namespace": "a/b"}, 400),
        ({"namespace": "."}, 400),
        ({"namespace": None}, 400),
        ({"display_name": "d" * 81}, 400),
        ({"display_name": None}, 400),
        ({"description": "d" * 501}, 400),
        ({"visibility": "shared"}, 400),
        ({"protected": "true"}, 400),
        ({"owner": "o" * 256}, 400),
        ({"colour": "red"}, 400),
        ({"self": "x"}, 403),
        ({"schema": "x"}, 403),
        ({"created_at": "x"}, 403),
        ({"updated_at": "x"}, 403),
        ({"properties": []}, 400),
        ({"properties": {"p": {"title": "t"}}}, 400),
        ({"properties": {"p" * 81: PROPERTY}}, 400),
        ({"properties": {"p": {**PROPERTY, "name": "q"}}}, 400),
        ({"objects": {}}, 400),
        ({"objects": [{"description": "no name"}]}, 400),
        ({"objects": [1]}, 400),
        ({"resource_type_associations": [{"name": "r" * 81}]}, 400),
        ({"resource_type_associations": [{"prefix": "p"}]}, 400),
        ({"tags": [{"name": "t" * 81}]}, 400),
        ({"tags": ["t"]}, 400),
        ({"tags": [{"name": "t"}, {"name": "t"}]}, 409),
        ({"objects": [{"name": "o"}, {"name": "o"}]}, 409),
        ({"resource_type_associations": [{"name": "r"}, {"name": "r"}]}, 409),
    ],
    ids=str,
)
def test_what_is_wrong_anywhere_is_refused_and_nothing_stays(admin, fields, status):
    body = {"namespace": metadef.unique(), **fields}
    assert metadef.refused(admin, "POST", NAMESPACES, body) == status
    assert metadef.refused(admin, "GET", path(metadef.unique())) == 404
    if isinstance(name := body["namespace"], str) and name.startswith("NS::"):
        assert metadef.refused(admin, "GET", path(name)) == 404
        metadef.make(admin, name)


@pytest.mark.parametrize("body", [[], [1], 5, "x", None, b"{"], ids=str)
def test_a_body_that_is_no_object_is_refused(admin, body):
    if body is None:
        body = b"null"
    found = admin.request("POST", NAMESPACES, body, kind="application/json")
    assert found.status_code == 400
    assert metadef.refused(admin, "POST", NAMESPACES) == 400


def test_a_name_with_spaces_is_reached(admin):
    name = metadef.unique("With space & more")
    made = metadef.make(admin, name)
    assert admin.get(made["self"]).json == made


def test_a_name_is_taken_once_and_its_case_matters(admin):
    name = metadef.unique("Case")
    metadef.make(admin, name)
    assert metadef.refused(admin, "POST", NAMESPACES, {"namespace": name}) == 409
    metadef.make(admin, name.upper())
    assert metadef.refused(admin, "GET", path(name.swapcase())) == 404


def test_an_administrator_names_another_owner(each_app, admin):
    owner = Caller(each_app)
    made = metadef.make(admin, owner=owner.project)
    assert made["owner"] == owner.project
    assert owner.get(path(made["namespace"])).status_code == 200


def test_pages_follow_each_other_newest_first(each_app, admin):
    kind = metadef.unique("T")
    names = [
        metadef.make(admin, resource_type_associations=[{"name": kind}])["namespace"]
        for _ in range(5)
    ][::-1]
    query = f"resource_types={kind}&limit=2"
    seen, where = [], f"{NAMESPACES}?{query}"
    while where:
        found = admin.get(where).json
        assert found["schema"] == "/v2/schemas/metadefs/namespaces"
        assert found["first"] == f"{NAMESPACES}?{query.replace(':', '%3A')}"
        seen.append([one["namespace"] for one in found["namespaces"]])
        assert all(one["resource_type_associations"] for one in found["namespaces"])
        assert all("properties" not in one for one in found["namespaces"])
        where = found.get("next")
    assert seen == [names[:2], names[2:4], names[4:]]


def test_a_page_has_25_namespaces_unless_asked_otherwise(admin):
    for _ in range(26):
        metadef.make(admin)
    assert len(listed(admin)) == 25
    found = admin.get(NAMESPACES, query_string="limit=5000").json
    assert len(found["namespaces"]) >= 26
    empty = admin.get(NAMESPACES, query_string="limit=0").json
    assert empty["namespaces"] == []
    assert "next" not in empty


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=-1", 400),
        ("limit=x", 400),
        ("marker=unknown", 404),
        ("sort_key=colour", 400),
        ("sort_dir=up", 400),
        ("visibility=shared", 400),
        ("owner=x&protected=maybe&namespace=y&sort=z", 200),
    ],
)
def test_parameters_of_the_list_are_looked_at(admin, query, status):
    assert admin.get(NAMESPACES, query_string=query).status_code == status


@pytest.mark.parametrize(
    "key",
    ["namespace", "display_name", "description", "owner", "visibility", "protected", "created_at",
     "updated_at", "id"],
)  # fmt: skip
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_each_sort_key_gives_each_namespace_once(admin, key, direction):
    kind = metadef.unique("T")
    fields = [
        {"display_name": "b", "visibility": "public"},
        {"display_name": "a", "description": "x"},
        {},
        {"protected": True, "owner": ""},
    ]
    made = {
        metadef.make(admin, resource_type_associations=[{"name": kind}], **one)["namespace"]
        for one in fields
    }
    query = f"resource_types={kind}&sort_key={key}&sort_dir={direction}&limit=1"
    seen, where = [], f"{NAMESPACES}?{query}"
    while where:
        found = admin.get(where).json
        seen += found["namespaces"]
        where = found.get("next")
    assert {one["namespace"] for one in seen} == made
    assert len(seen) == len(made)
    values = [one.get(key) or "" for one in seen] if key not in ("id", "protected") else []
    assert values == sorted(values, reverse=direction == "desc")


def test_the_list_is_narrowed_by_visibility_and_resource_types(admin):
    one, two = metadef.unique("T"), metadef.unique("T")
    public = metadef.make(
        admin, visibility="public", resource_type_associations=[{"name": one}, {"name": two}]
    )["namespace"]
    private = metadef.make(admin, resource_type_associations=[{"name": two}])["namespace"]
    assert listed(admin, f"resource_types={one}") == [public]
    assert listed(admin, f"resource_types={one},{two}") == [private, public]
    assert listed(admin, f"resource_types={two}&visibility=private") == [private]
    assert listed(admin, f"resource_types={two}&visibility=public") == [public]
    assert listed(admin, f"resource_types={metadef.unique()}") == []


def test_names_are_shown_as_on_a_resource_type(admin):
    name = metadef.make(admin, **WHOLE)["namespace"]
    plain = admin.get(path(name)).json
    shown = admin.get(path(name), query_string="resource_type=OS::Nova::Flavor").json
    assert set(shown["properties"]) == {"hw:colour", "hw:size"}
    assert set(shown["objects"][0]["properties"]) == {"hw:lid"}
    assert shown["objects"][0]["required"] == ["hw:lid"]
    for other in ("OS::Glance::Image", "unknown", ""):
        assert admin.get(path(name), query_string=f"resource_type={other}").json == plain


def test_a_change_replaces_the_plain_fields_and_keeps_what_is_in_it(admin):
    made = metadef.make(admin, **WHOLE, owner="somebody")
    name = made["namespace"]
    body = {**made, "namespace": name}
    for key in ("self", "schema", "created_at", "updated_at"):
        del body[key]
    found = admin.request("PUT", path(name), {**body, "objects": [{"any": 1}], "tags": 7})
    assert found.status_code == 200
    found = admin.request("PUT", path(name), {"namespace": name})
    assert found.status_code == 200
    assert set(found.json) == {
        "namespace", "visibility", "protected", "owner", "created_at", "updated_at", "self",
        "schema",
    }  # fmt: skip
    shown = admin.get(path(name)).json
    assert (shown["visibility"], shown["owner"]) == ("private", admin.project)
    assert "display_name" not in shown
    for part in ("properties", "objects", "tags", "resource_type_associations"):
        assert ordered(shown)[part] == ordered(made)[part]


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"display_name": "x"}, 400), ({"namespace": "a/b"}, 400), ([], 400),
     ({"namespace": "x", "self": "y"}, 403), ({"namespace": "x", "colour": 1}, 400)],
)  # fmt: skip
def test_a_change_is_checked_like_a_birth(admin, body, status):
    name = metadef.make(admin)["namespace"]
    assert metadef.refused(admin, "PUT", path(name), body) == status


def test_a_namespace_is_renamed_with_all_that_is_in_it(admin):
    name, new = metadef.make(admin, **WHOLE)["namespace"], metadef.unique()
    taken = metadef.make(admin)["namespace"]
    assert metadef.refused(admin, "PUT", path(name), {"namespace": taken}) == 409
    assert admin.request("PUT", path(name), {"namespace": new}).json["self"] == path(new)
    assert metadef.refused(admin, "GET", path(name)) == 404
    assert set(admin.get(path(new)).json["properties"]) == {"colour", "size"}
    assert metadef.refused(admin, "PUT", path(metadef.unique()), {"namespace": "x"}) == 404


def test_a_namespace_goes_with_all_in_it_but_its_resource_types_stay(admin):
    kind = metadef.unique("T")
    name = metadef.make(admin, resource_type_associations=[{"name": kind}], tags=[{"name": "t"}])[
        "namespace"
    ]
    assert admin.request("DELETE", path(name)).status_code == 204
    for method in ("GET", "DELETE"):
        assert metadef.refused(admin, method, path(name)) == 404
    assert kind in [
        one["name"] for one in admin.get("/v2/metadefs/resource_types").json["resource_types"]
    ]
    metadef.make(admin, name)
    assert admin.get(path(name, "tags")).json == {"tags": []}


def test_protection_bars_every_deletion_and_nothing_else(admin):
    name = metadef.make(admin, **{**WHOLE, "protected": True})["namespace"]
    for below in (
        (), ("objects",), ("objects", "box"), ("properties",), ("properties", "colour"),
        ("tags",), ("tags", "one"), ("resource_types", "OS::Nova::Flavor"),
    ):  # fmt: skip
        assert metadef.refused(admin, "DELETE", path(name, *below)) == 403, below
    assert metadef.refused(admin, "POST", path(name, "objects"), {"name": "new"}) == 201
    assert metadef.refused(admin, "PUT", path(name, "objects", "new"), {"name": "newer"}) == 200
    assert (
        metadef.refused(admin, "POST", path(name, "properties"), {"name": "n", **PROPERTY}) == 201
    )
    assert metadef.refused(admin, "POST", path(name, "tags", "three")) == 201
    assert metadef.refused(admin, "POST", path(name, "resource_types"), {"name": "R"}) == 201
    assert metadef.refused(admin, "PUT", path(name), {"namespace": name}) == 200
    assert metadef.refused(admin, "DELETE", path(name)) == 204


def test_methods_that_are_not_there_are_405(admin):
    name = metadef.make(admin, **WHOLE)["namespace"]
    for method, below in (
        ("HEAD", ()), ("PATCH", ()), ("POST", ()),
        ("HEAD", ("objects",)), ("PUT", ("objects",)), ("PATCH", ("objects",)),
        ("HEAD", ("objects", "box")), ("POST", ("objects", "box")),
        ("PUT", ("properties",)), ("PUT", ("tags",)), ("PATCH", ("tags", "one")),
        ("DELETE", ("resource_types",)), ("PUT", ("resource_types",)),
        ("GET", ("resource_types", "OS::Nova::Flavor")),
        ("PUT", ("resource_types", "OS::Nova::Flavor")),
    ):  # fmt: skip
        found = admin.request(method, path(name, *below))
        assert found.status_code == 405, (method, below)
        assert found.headers["Allow"]
    for where in (NAMESPACES, "/v2/metadefs/resource_types"):
        for method in ("HEAD", "PUT", "PATCH", "DELETE"):
            assert admin.request(method, where).status_code == 405
    assert admin.request("POST", "/v2/metadefs/resource_types").status_code == 405


def test_a_list_and_a_namespace_cost_a_fixed_number_of_statements(each_service, admin):
    kind = metadef.unique("T")
    for _ in range(3):
        last = metadef.make(admin, **{**WHOLE, "resource_type_associations": [{"name": kind}]})[
            "namespace"
        ]
    with rows.counted(each_service.database) as seen:
        assert len(listed(admin, f"resource_types={kind}")) == 3
    assert len(seen) <= 2
    with rows.counted(each_service.database) as seen:
        assert len(listed(admin, f"resource_types={kind}&marker={last}&limit=1")) == 1
    assert len(seen) <= 3
    with rows.counted(each_service.database) as seen:
        assert admin.get(path(last)).status_code == 200
    assert len(seen) <= 6


def test_each_change_is_in_the_trail(each_service, admin):
    name = metadef.make(admin, **{**WHOLE, "protected": True})["namespace"]
    assert metadef.refused(admin, "DELETE", path(name)) == 403
    changes = [
        ("PUT", (), {"namespace": name}),
        ("POST", ("objects",), {"name": "o"}),
        ("PUT", ("objects", "o"), {"name": "p"}),
        ("DELETE", ("objects", "p"), None),
        ("POST", ("properties",), {"name": "p", **PROPERTY}),
        ("PUT", ("properties", "p"), {"name": "q", **PROPERTY}),
        ("DELETE", ("properties", "q"), None),
        ("POST", ("tags", "t"), None),
        ("PUT", ("tags", "t"), {"name": "u"}),
        ("DELETE", ("tags", "u"), None),
        ("POST", ("tags",), {"tags": [{"name": "v"}]}),
        ("DELETE", ("tags",), None),
        ("POST", ("resource_types",), {"name": "R"}),
        ("DELETE", ("resource_types", "R"), None),
        ("DELETE", ("objects",), None),
        ("DELETE", (), None),
    ]
    for method, below, body in changes:
        assert metadef.refused(admin, method, path(name, *below), body) < 300, (method, below)
    found = admin.get("/imagesvc/v1/audit", query_string=f"target_id={name}&limit=100").json
    told = [(one["action"], one["outcome"]) for one in found["events"]][::-1]
    assert told == [
        ("add_metadef_namespace", "success"),
        ("delete_metadef_namespace", "denied"),
        ("modify_metadef_namespace", "success"),
        ("add_metadef_object", "success"),
        ("modify_metadef_object", "success"),
        ("delete_metadef_object", "success"),
        ("add_metadef_property", "success"),
        ("modify_metadef_property", "success"),
        ("remove_metadef_property", "success"),
        ("add_metadef_tag", "success"),
        ("modify_metadef_tag", "success"),
        ("delete_metadef_tag", "success"),
        ("add_metadef_tags", "success"),
        ("delete_metadef_tags", "success"),
        ("add_metadef_resource_type_association", "success"),
        ("remove_metadef_resource_type_association", "success"),
        ("delete_metadef_namespace", "success"),
        ("delete_metadef_namespace", "success"),
    ]
