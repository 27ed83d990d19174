"""The description of our own API: whole, valid, and made of the code."""

import re

import jsonschema
import pytest
from falcon import inspect

from imagesvc.api.native import operation, route
from tests.api.caller import Caller
from tests.api.native.conformance import DIALECT

OWN = (route.PREFIX, "/healthcheck")


def routed(app):
    """Every method and path of our own API that the app answers."""
    for found in inspect.inspect_routes(app):
        if found.path.startswith(OWN):
            for method in found.methods:
                if not method.internal:
                    yield method.method, found.path


def references(value):
    """Every $ref of a document."""
    if isinstance(value, dict):
        yield from [value["$ref"]] if "$ref" in value else []
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_route_and_method_is_described(app, description):
    assert len(list(routed(app))) > 15
    for method, path in routed(app):
        assert method.lower() in description.document["paths"][path], f"{method} {path}"
        row = operation.OPERATIONS.get(path.removeprefix(route.PREFIX), {}).get(method)
        assert row is not None, f"{method} {path} needs a row in imagesvc/api/native/operation.py"


def test_every_row_of_the_table_has_a_route(app):
    there = {(method, path.removeprefix(route.PREFIX)) for method, path in routed(app)}
    rows = {(method, path) for path, rows in operation.OPERATIONS.items() for method in rows}
    assert rows == there


def test_every_operation_names_itself_its_answers_and_its_path_parameters(description):
    ids = []
    for path, methods in description.document["paths"].items():
        named = {one["name"] for one in methods.get("parameters", [])}
        assert named == set(re.findall(r"{(\w+)}", path))
        for method, found in methods.items():
            if method != "parameters":
                ids.append(found["operationId"])
                assert found["summary"]
                assert {"400", "500"} < set(found["responses"])
                assert ("401" in found["responses"]) == bool(found["security"])
    assert len(ids) == len(set(ids))


def test_its_schemas_are_valid_and_its_references_lead_somewhere(description):
    document = description.document
    assert document["openapi"] == "3.1.0"
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        DIALECT.check_schema(schema)
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_a_body_with_an_unknown_field_does_not_match(description):
    schema = {"$ref": "#/components/schemas/NewServers"}
    description.validate(schema, {"image_id": "i", "name": "n", "count": 2})
    with pytest.raises(jsonschema.ValidationError):
        description.validate(schema, {"image_id": "i", "name": "n", "colour": "red"})


def test_an_answer_that_is_not_as_described_is_noticed(app, description):
    found = Caller(app).get("/imagesvc/v1/jobs")
    description.check("GET", "/imagesvc/v1/jobs", found)
    with pytest.raises((AssertionError, jsonschema.ValidationError)):
        description.check("GET", "/imagesvc/v1/servers", found)
