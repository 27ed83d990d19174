"""Our own API described in OpenAPI 3.1, made from the routes, the structs and the error table."""

import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from typing import Any

import falcon
import msgspec
from falcon import routing

from imagesvc.api import error, error_code
from imagesvc.api.native import error_answer, operation, operation_shape, query
from imagesvc.errors import Reason

JSON = "application/json"
SCHEME = "token"
_REF = "#/components/schemas/{name}"
_FIELD = re.compile(r"{(\w+)}")
_BYTES: operation_shape.Schema = {"type": "string", "format": "binary"}
_HEADERS: dict[str, tuple[operation_shape.Schema, str]] = {
    "Accept-Language": ({"type": "string"}, "Language of what is for people; zh or en."),
    "Idempotency-Key": (
        {"type": "string", "pattern": "^[ -~]{1,255}$"},
        "The same key in the same project gives the same job.",
    ),
    "Imagesvc-Source-Region": (operation_shape.TEXT, "The region that asks, URL-encoded; needed."),
    "Imagesvc-Source-Project": (operation_shape.TEXT, "For which of its projects; needed."),
    "Imagesvc-Target-Project": (operation_shape.TEXT, "In which project here; needed."),
    "Range": (operation_shape.TEXT, "One range of bytes (RFC 9110, section 14)."),
    "If-Range": (operation_shape.TEXT, "An ETag; with another one Range is not heeded."),
    "If-None-Match": (operation_shape.TEXT, "ETags of what the caller has already."),
    "Tus-Resumable": ({"type": "string", "enum": ["1.0.0"]}, "Version of tus; needed."),
    "Upload-Offset": (operation_shape.COUNT, "Where the bytes of the body belong; needed."),
    "Upload-Length": (operation_shape.COUNT, "Bytes of the whole upload."),
    "Upload-Defer-Length": ({"type": "string", "enum": ["1"]}, "The length is told later."),
    "Upload-Metadata": (
        operation_shape.TEXT,
        "Pairs of key and Base64 of a value: image_id, disk, sha256, store, filename.",
    ),
    "Upload-Checksum": (
        operation_shape.TEXT,
        "md5, sha1 or sha256, and Base64 of the body's digest.",
    ),
}

Route = tuple[str, Any]


class OpenApiResource:
    """The description; it needs no token, since it holds nothing of this installation."""

    anonymous = True

    def __init__(self, prefix: str, routes: Iterable[Route]) -> None:
        self._document = msgspec.json.encode(document(prefix, [*routes, (_own(prefix), self)]))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Describe this API in OpenAPI 3.1."""
        query.known(req, set())
        resp.content_type = JSON
        resp.data = self._document


def _own(prefix: str) -> str:
    return f"{prefix}/openapi.json"


def document(prefix: str, routes: Iterable[Route]) -> dict[str, Any]:
    """The whole description. Routes are those of the app, template and resource."""
    shapes: list[Any] = [error_answer.Error]
    for methods in operation.OPERATIONS.values():
        for found in methods.values():
            given = (found.body, found.answer, *found.also.values())
            shapes += [shape for shape in given if _is_struct(shape)]
    _, components = msgspec.json.schema_components(dict.fromkeys(shapes), ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imagesvc",
            "version": importlib.metadata.version("imagesvc"),
            "description": "Servers, captures, jobs, audit trail, backends and health.",
        },
        "paths": {path: _methods(prefix, path, resource) for path, resource in routes},
        "components": {
            "schemas": components,
            "securitySchemes": {SCHEME: {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
        },
    }


def _methods(prefix: str, path: str, resource: Any) -> dict[str, Any]:
    known = operation.OPERATIONS.get(path.removeprefix(prefix), {})
    parameters = [
        _parameter("path", name, schema, text, required=True)
        for name in _FIELD.findall(path)
        for schema, text in [operation_shape.PATH.get(name, (operation_shape.TEXT, ""))]
    ]
    found: dict[str, Any] = {"parameters": parameters} if parameters else {}
    for method, responder in sorted(routing.map_http_methods(resource).items()):
        row = known.get(method, operation_shape.Operation())
        found[method.lower()] = _operation(path, method, resource, responder, row)
    return found


def _operation(
    path: str, method: str, resource: Any, responder: Any, row: operation_shape.Operation
) -> dict[str, Any]:
    anonymous = getattr(resource, "anonymous", False)
    raised = operation_shape.ALWAYS + (() if anonymous else operation_shape.CALLER) + row.raises
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}{_FIELD.sub('one', path).replace('/', '-')}",
        "summary": (responder.__doc__ or "").strip().partition("\n")[0],
        "description": (type(resource).__doc__ or "").strip(),
        "security": [] if anonymous else [{SCHEME: []}],
        "responses": _responses(row, raised),
    }
    parameters = [_parameter("query", name, schema) for name, schema in row.query.items()]
    parameters += [_parameter("header", name, *_HEADERS[name]) for name in row.headers]
    if parameters:
        described["parameters"] = parameters
    if row.body is not None:
        described["requestBody"] = {"required": True, "content": _content(row.body)}
    return described


def _parameter(
    place: str, name: str, schema: operation_shape.Schema, text: str = "", *, required: bool = False
) -> dict[str, Any]:
    kept = {key: value for key, value in schema.items() if key != "description"}
    found = {"in": place, "name": name, "required": required, "schema": kept}
    if shown := text or schema.get("description"):
        found["description"] = shown
    return found


def _responses(
    row: operation_shape.Operation, raised: Iterable[operation_shape.Raised]
) -> dict[str, Any]:
    good: dict[int, list[Any]] = {row.status: [row.answer] if row.answer is not None else []}
    for status, shape in row.also.items():
        good.setdefault(status, []).extend([] if shape is None else [shape])
    codes: dict[int, set[str]] = {}
    for failure in raised:
        kind, reason = failure if isinstance(failure, tuple) else (failure, None)
        for status, code in _rows(kind, reason):
            codes.setdefault(status, set()).add(code)
    found = {}
    for status in sorted(good | codes):
        shapes = good.get(status, []) + ([error_answer.Error] if status in codes else [])
        advised = [f"{code}: {error_code.ADVICE[code]}" for code in sorted(codes.get(status, ()))]
        text = " ".join(advised) or falcon.code_to_http_status(status)[4:]
        found[str(status)] = {"description": text}
        if shapes:
            found[str(status)]["content"] = _content(*shapes)
        if status in good and row.gives:
            headers = {name: {"schema": operation_shape.TEXT} for name in row.gives}
            found[str(status)]["headers"] = headers
    return found


def _rows(kind: type[Exception], reason: Reason | None) -> list[tuple[int, str]]:
    """Status and code of the rows of exactly this class and reason."""
    return [
        (row.native, row.code)
        for row in error.ERRORS
        if row.exception is kind and row.reason == reason
    ]


def _content(*shapes: Any) -> Mapping[str, Any]:
    found: dict[str, list[Any]] = {}
    for shape in shapes:
        if isinstance(shape, str):
            found.setdefault(shape, []).append(_BYTES)
        elif _is_struct(shape):
            found.setdefault(JSON, []).append({"$ref": _REF.format(name=shape.__name__)})
        else:
            found.setdefault(JSON, []).append({"type": "object"})
    return {
        kind: {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
        for kind, schemas in found.items()
    }


def _is_struct(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, msgspec.Struct)
