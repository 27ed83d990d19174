"""The schemas of metadata definitions, and that answers are as they say."""

import jsonschema
import pytest

from tests.api.caller import Caller
from tests.api.glance import metadef
from tests.api.glance.metadef import PROPERTY, path

SINGLE = {
    "namespace": ("namespace", {"namespace"}, True),
    "resource_type": ("resource_type_association", {"name"}, False),
    "property": ("property", {"type", "title", "name"}, True),
    "object": ("object", {"name"}, True),
    "tag": ("tag", {"name"}, False),
}
PLURAL = {
    "namespaces": ("namespaces", True),
    "resource_types": ("resource_type_associations", False),
    "properties": ("properties", True),
    "objects": ("objects", True),
    "tags": ("tags", False),
}
DEFINITIONS = {"positiveInteger", "positiveIntegerDefault0", "stringArray", "property"}


@pytest.mark.parametrize("kind", SINGLE)
def test_the_schema_of_one(app, kind):
    name, required, defines = SINGLE[kind]
    schema = Caller(app, None, "reader").get(f"/v2/schemas/metadefs/{kind}").json
    assert schema["name"] == name
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == required
    assert set(schema.get("definitions", ())) == (DEFINITIONS if defines else set())
    assert "links" not in schema
    jsonschema.Draft4Validator.check_schema(schema)


@pytest.mark.parametrize("kind", PLURAL)
def test_the_schema_of_many(app, kind):
    name, defines = PLURAL[kind]
    schema = Caller(app, None, "reader").get(f"/v2/schemas/metadefs/{kind}").json
    assert schema["name"] == name
    assert set(schema["properties"]) == {name, "first", "next", "schema"}
    assert [link["rel"] for link in schema["links"]] == ["first", "next", "describedby"]
    assert set(schema.get("definitions", ())) == (DEFINITIONS if defines else set())


def test_answers_are_as_the_schemas_say(app):
    admin = metadef.admin_of(app)
    name = metadef.make(
        admin,
        properties={"p": PROPERTY},
        objects=[{"name": "o", "properties": {"p": PROPERTY}}],
        tags=[{"name": "t"}],
        resource_type_associations=[{"name": "R"}],
    )["namespace"]
    for kind, below in (
        ("namespace", ()), ("object", ("objects", "o")), ("property", ("properties", "p")),
        ("tag", ("tags", "t")), ("objects", ("objects",)), ("properties", ("properties",)),
        ("tags", ("tags",)), ("resource_types", ("resource_types",)),
    ):  # fmt: skip
        schema = admin.get(f"/v2/schemas/metadefs/{kind}").json
        jsonschema.validate(admin.get(path(name, *below)).json, schema)
