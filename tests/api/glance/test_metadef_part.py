"""What is in a namespace of metadata definitions: objects, properties, tags, resource types."""

import pytest

from tests.api.glance import metadef
from tests.api.glance.metadef import PROPERTY, path

FULL = {
    "title": "Full",
    "type": "array",
    "description": "All there is",
    "operators": ["<or>", "<in>"],
    "enum": ["a", 1, 1.5, None, {"b": [True]}],
    "default": [True, None, 1.0, {"z": 1, "a": "\u00e9"}],
    "readonly": True,
    "minimum": 1.5,
    "maximum": -2,
    "minLength": 0,
    "maxLength": 7,
    "pattern": "(not checked",
    "items": {"type": "string", "enum": [1, "x"]},
    "minItems": 1,
    "maxItems": 2,
    "uniqueItems": True,
    "additionalItems": False,
}
WRONG = [
    ({"type": None}, 400),
    ({"type": "text"}, 400),
    ({"title": None}, 400),
    ({"title": 1}, 400),
    ({"description": None}, 400),
    ({"operators": "<or>"}, 400),
    ({"operators": [1]}, 400),
    ({"enum": "a"}, 400),
    ({"readonly": "true"}, 400),
    ({"minimum": "1"}, 400),
    ({"maximum": True}, 400),
    ({"minLength": -1}, 400),
    ({"maxLength": -1}, 400),
    ({"maxLength": 1.5}, 400),
    ({"minItems": -1}, 400),
    ({"maxItems": "1"}, 400),
    ({"uniqueItems": 1}, 400),
    ({"additionalItems": {}}, 400),
    ({"items": []}, 400),
    ({"items": {"type": None}}, 400),
    ({"items": {"minimum": 1}}, 400),
    ({"pattern": None}, 400),
    ({"required": ["a"]}, 400),
    ({"colour": "red"}, 400),
    ({"self": "x"}, 400),
]


@pytest.fixture
def admin(each_app):
    return metadef.admin_of(each_app)


@pytest.fixture
def name(admin):
    """A namespace with nothing in it."""
    return metadef.make(admin, visibility="public")["namespace"]


# ---------------------------------------------------------------- objects


def test_the_life_of_an_object(admin, name):
    where = path(name, "objects")
    found = admin.request("POST", where, {"name": "a b", "properties": {"p": FULL}})
    assert found.status_code == 201
    assert "Location" not in found.headers
    assert set(found.json) == {"name", "properties", "created_at", "updated_at", "self", "schema"}
    assert found.json["properties"] == {"p": FULL}
    assert found.json["self"] == path(name, "objects", "a%20b")
    assert found.json["schema"] == "/v2/schemas/metadefs/object"
    shown = admin.get(found.json["self"]).json
    assert shown == {**found.json, "required": []}
    found = admin.request("PUT", path(name, "objects", "a b"), {"name": "c", "required": ["x"]})
    assert found.status_code == 200
    assert "properties" not in found.json
    assert admin.get(path(name, "objects", "a b")).status_code == 404
    shown = admin.get(path(name, "objects", "c")).json
    assert (shown["required"], shown["properties"]) == (["x"], {})
    assert "description" not in shown
    assert admin.request("DELETE", path(name, "objects", "c")).status_code == 204
    assert admin.request("DELETE", path(name, "objects", "c")).status_code == 404
    assert admin.get(where).json == {"objects": [], "schema": "v2/schemas/metadefs/objects"}


def test_objects_are_listed_all_at_once(admin, name):
    for number in range(30):
        metadef.refused(admin, "POST", path(name, "objects"), {"name": f"o{number}"})
    for query in ("", "limit=1", "marker=nobody", "sort_key=colour", "sort_dir=asc"):
        found = admin.get(path(name, "objects"), query_string=query)
        assert found.status_code == 200
        assert set(found.json) == {"objects", "schema"}
        assert len(found.json["objects"]) == 30
        assert all(one["required"] == [] for one in found.json["objects"])
    for query in ("limit=0", "limit=-1", "limit=x", "visibility=shared", "sort_dir=up"):
        assert admin.get(path(name, "objects"), query_string=query).status_code == 400
    assert admin.request("DELETE", path(name, "objects")).status_code == 204
    assert admin.get(path(name, "objects")).json["objects"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"name": None}, 400),
        ({"name": ""}, 400),
        ({"name": "a/b"}, 400),
        ({"name": "o" * 81}, 400),
        ({"name": "o", "description": None}, 400),
        ({"name": "o", "required": "x"}, 400),
        ({"name": "o", "required": ["x", "x"]}, 400),
        ({"name": "o", "properties": []}, 400),
        ({"name": "o", "properties": {"p": {"type": "string"}}}, 400),
        ({"name": "o", "colour": 1}, 400),
        ({"name": "o", "self": "x"}, 403),
        ({"name": "o", "schema": "x"}, 403),
        ({"name": "o", "created_at": "x"}, 403),
        ([], 400),
    ],
    ids=str,
)
def test_an_object_is_checked(admin, name, body, status):
    metadef.refused(admin, "POST", path(name, "objects"), {"name": "old"})
    assert metadef.refused(admin, "POST", path(name, "objects"), body) == status
    assert metadef.refused(admin, "PUT", path(name, "objects", "old"), body) == status


def test_the_name_of_an_object_is_taken_once(admin, name):
    for one in ("a", "b"):
        assert metadef.refused(admin, "POST", path(name, "objects"), {"name": one}) == 201
    assert metadef.refused(admin, "POST", path(name, "objects"), {"name": "a"}) == 409
    assert metadef.refused(admin, "PUT", path(name, "objects", "a"), {"name": "b"}) == 409
    assert metadef.refused(admin, "PUT", path(name, "objects", "a"), {"name": "a"}) == 200
    assert metadef.refused(admin, "POST", path(name, "objects"), {"name": "A"}) == 201
    assert metadef.refused(admin, "PUT", path(name, "objects", "c"), {"name": "d"}) == 404


# ---------------------------------------------------------------- properties


def test_the_life_of_a_property(admin, name):
    where = path(name, "properties")
    found = admin.request("POST", where, {"name": "p", **FULL})
    assert found.status_code == 201
    assert "Location" not in found.headers
    assert found.json == {"name": "p", **FULL}
    assert list(found.json["default"][3]) == ["z", "a"]
    assert admin.get(path(name, "properties", "p")).json == {"name": "p", **FULL}
    found = admin.request("PUT", path(name, "properties", "p"), {"name": "q", **PROPERTY})
    assert (found.status_code, found.json) == (200, {"name": "q", **PROPERTY})
    assert admin.get(path(name, "properties", "p")).status_code == 404
    found = admin.get(where).json
    assert found == {"properties": {"q": {"name": "q", **PROPERTY}}}
    assert admin.request("DELETE", path(name, "properties", "q")).status_code == 204
    assert admin.request("DELETE", path(name, "properties", "q")).status_code == 404
    metadef.refused(admin, "POST", where, {"name": "p", **PROPERTY})
    assert admin.request("DELETE", where).status_code == 204
    assert admin.get(where).json == {"properties": {}}


@pytest.mark.parametrize("value", [True, 0, -1.5, "text", None, [], {}, [1, [2]]], ids=str)
def test_a_default_comes_back_as_it_was_sent(admin, name, value):
    body = {"name": "p", **PROPERTY, "default": value}
    assert admin.request("POST", path(name, "properties"), body).json == body
    shown = admin.get(path(name, "properties", "p")).json["default"]
    assert (shown, type(shown)) == (value, type(value))


@pytest.mark.parametrize(("more", "status"), WRONG, ids=str)
def test_a_property_is_checked_wherever_it_stands(admin, name, more, status):
    metadef.refused(admin, "POST", path(name, "properties"), {"name": "old", **PROPERTY})
    body = {"name": "p", **PROPERTY, **more}
    assert metadef.refused(admin, "POST", path(name, "properties"), body) == status
    assert metadef.refused(admin, "PUT", path(name, "properties", "old"), body) == status
    inside = {"name": "o", "properties": {"p": {**PROPERTY, **more}}}
    assert metadef.refused(admin, "POST", path(name, "objects"), inside) == status


@pytest.mark.parametrize(
    ("more", "status"),
    [({"name": None}, 400), ({"name": ""}, 400), ({"name": "a/b"}, 400), ({"name": "p" * 81}, 400),
     ({"created_at": "x"}, 403), ({"updated_at": "x"}, 403), ({"schema": "x"}, 403)],
)  # fmt: skip
def test_a_property_of_a_namespace_has_a_name_and_no_times(admin, name, more, status):
    body = {"name": "p", **PROPERTY, **more}
    assert metadef.refused(admin, "POST", path(name, "properties"), body) == status


@pytest.mark.parametrize("missing", ["name", "title", "type"])
def test_a_property_needs_name_title_and_type(admin, name, missing):
    body = {"name": "p", **PROPERTY}
    del body[missing]
    assert metadef.refused(admin, "POST", path(name, "properties"), body) == 400
    assert metadef.refused(admin, "POST", path(name, "properties"), [body]) == 400


def test_the_name_of_a_property_is_taken_once(admin, name):
    for one in ("a", "b", "A"):
        body = {"name": one, **PROPERTY}
        assert metadef.refused(admin, "POST", path(name, "properties"), body) == 201
        assert metadef.refused(admin, "POST", path(name, "properties"), body) == 409
    body = {"name": "b", **PROPERTY}
    assert metadef.refused(admin, "PUT", path(name, "properties", "a"), body) == 409
    assert metadef.refused(admin, "PUT", path(name, "properties", "c"), body) == 404


def test_a_property_is_found_by_its_name_on_a_resource_type(admin, name):
    metadef.refused(admin, "POST", path(name, "properties"), {"name": "p", **PROPERTY})
    for body in ({"name": "Flavor", "prefix": "hw:"}, {"name": "Image"}):
        assert metadef.refused(admin, "POST", path(name, "resource_types"), body) == 201
    found = admin.get(path(name, "properties", "hw:p"), query_string="resource_type=Flavor")
    assert (found.status_code, found.json) == (200, {"name": "p", **PROPERTY})
    for asked, kind in (("p", "Flavor"), ("hw:p", "unknown"), ("p", "Image"), ("hw:x", "Flavor")):
        found = admin.get(path(name, "properties", asked), query_string=f"resource_type={kind}")
        assert found.status_code == 404, (asked, kind)


# ---------------------------------------------------------------- tags


def tags(admin, name, query=""):
    found = admin.get(path(name, "tags"), query_string=query)
    assert found.status_code == 200, found.text
    assert set(found.json) == {"tags"}
    return [one["name"] for one in found.json["tags"]]


def put(admin, name, *names, **headers):
    body = {"tags": [{"name": one} for one in names]}
    return admin.request("POST", path(name, "tags"), body, headers=headers)


def test_the_life_of_a_tag(admin, name):
    found = admin.request("POST", path(name, "tags", "a b"))
    assert found.status_code == 201
    assert set(found.json) == {"name", "created_at", "updated_at"}
    assert admin.get(path(name, "tags", "a b")).json == found.json
    assert metadef.refused(admin, "POST", path(name, "tags", "a b")) == 409
    assert metadef.refused(admin, "POST", path(name, "tags", "A B")) == 201
    assert metadef.refused(admin, "POST", path(name, "tags", "t" * 81)) == 400
    assert metadef.refused(admin, "POST", path(name, "tags", "t"), {"name": "t"}) == 400
    found = admin.request("PUT", path(name, "tags", "a b"), {"name": "c"})
    assert (found.status_code, found.json["name"]) == (200, "c")
    assert metadef.refused(admin, "GET", path(name, "tags", "a b")) == 404
    assert metadef.refused(admin, "PUT", path(name, "tags", "c"), {"name": "A B"}) == 409
    assert metadef.refused(admin, "PUT", path(name, "tags", "d"), {"name": "e"}) == 404
    assert metadef.refused(admin, "DELETE", path(name, "tags", "c")) == 204
    assert metadef.refused(admin, "DELETE", path(name, "tags", "c")) == 404
    assert metadef.refused(admin, "DELETE", path(name, "tags")) == 204
    assert tags(admin, name) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"name": None}, 400), ({"name": ""}, 400), ({"name": "a/b"}, 400),
     ({"name": "t" * 81}, 400), ({"name": "t", "x": 1}, 400), ({"name": "t", "created_at": 1}, 403),
     ([], 400)],
)  # fmt: skip
def test_a_new_name_of_a_tag_is_checked(admin, name, body, status):
    metadef.refused(admin, "POST", path(name, "tags", "t"))
    assert metadef.refused(admin, "PUT", path(name, "tags", "t"), body) == status


def test_a_list_of_tags_replaces_all_or_adds(admin, name):
    found = put(admin, name, "a", "b")
    assert (found.status_code, found.json) == (201, {"tags": [{"name": "a"}, {"name": "b"}]})
    assert set(tags(admin, name)) == {"a", "b"}
    assert put(admin, name, "c", **{"X-Openstack-Append": "false"}).status_code == 201
    assert tags(admin, name) == ["c"]
    for word in ("true", "True"):
        assert put(admin, name, word, **{"X-Openstack-Append": word}).status_code == 201
    assert set(tags(admin, name)) == {"c", "true", "True"}
    assert put(admin, name, "c", **{"X-Openstack-Append": "true"}).status_code == 409
    assert put(admin, name, "d", "d").status_code == 409
    assert put(admin, name).status_code == 201
    assert set(tags(admin, name)) == {"c", "true", "True"}


@pytest.mark.parametrize(
    "body", [{}, [], {"tags": {}}, {"tags": None}, {"tags": ["a"]}, {"tags": [{}]},
             {"tags": [{"name": "t" * 81}]}, {"tags": [], "x": 1}],
    ids=str,
)  # fmt: skip
def test_a_list_of_tags_is_checked(admin, name, body):
    metadef.refused(admin, "POST", path(name, "tags", "old"))
    assert metadef.refused(admin, "POST", path(name, "tags"), body) == 400
    assert tags(admin, name) == ["old"]


def test_tags_are_listed_without_a_limit_unless_one_is_asked_for(admin, name):
    put(admin, name, *(f"t{number:03}" for number in range(200)))
    assert len(tags(admin, name)) == 200
    found, marker = [], ""
    while page := tags(admin, name, f"limit=70&sort_key=name&sort_dir=asc{marker}"):
        found += page
        marker = f"&marker={page[-1]}"
    assert found == [f"t{number:03}" for number in range(200)]
    assert tags(admin, name, "limit=0") == []
    for query, status in (
        ("limit=-1", 400), ("limit=x", 400), ("marker=nobody", 404), ("sort_key=colour", 400),
        ("sort_dir=up", 400),
    ):  # fmt: skip
        assert admin.get(path(name, "tags"), query_string=query).status_code == status


def test_tags_are_listed_newest_first(admin, name):
    for one in ("b", "c", "a"):
        admin.request("POST", path(name, "tags", one))
    assert tags(admin, name) == ["a", "c", "b"]
    assert tags(admin, name, "sort_dir=asc") == ["b", "c", "a"]
    assert tags(admin, name, "marker=c") == ["b"]
    assert tags(admin, name, "sort_key=name") == ["c", "b", "a"]


# ---------------------------------------------------------------- resource types


def test_the_life_of_an_association(admin, name):
    kind = metadef.unique("T")
    where = path(name, "resource_types")
    body = {"name": kind, "prefix": "p_", "properties_target": "image"}
    found = admin.request("POST", where, body)
    assert found.status_code == 201
    assert {**found.json, **body} == found.json
    assert set(found.json) == {*body, "created_at", "updated_at"}
    assert admin.get(where).json == {"resource_type_associations": [found.json]}
    assert metadef.refused(admin, "POST", where, {"name": kind}) == 409
    assert metadef.refused(admin, "DELETE", path(name, "resource_types", kind)) == 204
    assert metadef.refused(admin, "DELETE", path(name, "resource_types", kind)) == 404
    known = admin.get("/v2/metadefs/resource_types").json["resource_types"]
    (one,) = [one for one in known if one["name"] == kind]
    assert set(one) == {"name", "created_at", "updated_at"}


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"name": None}, 400), ({"name": ""}, 400), ({"name": "r" * 81}, 400),
     ({"name": "r", "prefix": "p" * 81}, 400), ({"name": "r", "prefix": None}, 400),
     ({"name": "r", "properties_target": "p" * 81}, 400), ({"name": "r", "x": 1}, 400),
     ({"name": "r", "created_at": "x"}, 403), ({"name": "r", "self": "x"}, 403), ([], 400)],
)  # fmt: skip
def test_an_association_is_checked(admin, name, body, status):
    assert metadef.refused(admin, "POST", path(name, "resource_types"), body) == status


def test_whatever_is_below_an_absent_namespace_is_absent(admin):
    gone = metadef.unique()
    for method, below, body in (
        ("GET", ("objects",), None), ("POST", ("objects",), {"name": "o"}),
        ("DELETE", ("objects",), None), ("GET", ("objects", "o"), None),
        ("PUT", ("objects", "o"), {"name": "o"}), ("DELETE", ("objects", "o"), None),
        ("GET", ("properties",), None), ("POST", ("properties",), {"name": "p", **PROPERTY}),
        ("DELETE", ("properties",), None), ("GET", ("properties", "p"), None),
        ("PUT", ("properties", "p"), {"name": "p", **PROPERTY}),
        ("DELETE", ("properties", "p"), None),
        ("GET", ("tags",), None), ("POST", ("tags",), {"tags": []}), ("DELETE", ("tags",), None),
        ("GET", ("tags", "t"), None), ("POST", ("tags", "t"), None),
        ("PUT", ("tags", "t"), {"name": "u"}), ("DELETE", ("tags", "t"), None),
        ("GET", ("resource_types",), None), ("POST", ("resource_types",), {"name": "R"}),
        ("DELETE", ("resource_types", "R"), None),
    ):  # fmt: skip
        assert metadef.refused(admin, method, path(gone, *below), body) == 404, (method, below)
