"""Holds answers against the description of the API."""

import re

import jsonschema

DIALECT = jsonschema.Draft202012Validator


class Description:
    """The OpenAPI document, asked by method and path."""

    def __init__(self, document):
        self.document = document
        self._paths = [
            (re.compile(re.sub(r"{\w+}", "[^/]+", path)), methods)
            for path, methods in document["paths"].items()
        ]

    def operation(self, method, path):
        """The operation, or None where the description has none."""
        bare = path.partition("?")[0]
        for pattern, methods in self._paths:
            if pattern.fullmatch(bare):
                return methods.get(method.lower())
        return None

    def check(self, method, path, answer):
        """Fail if status, media type or body are not as described."""
        operation = self.operation(method, path)
        if operation is None:
            return
        what = f"{method} {path}: {answer.status_code} {answer.content[:300]!r}"
        described = operation["responses"].get(str(answer.status_code))
        assert described is not None, f"not described: {what}"
        content = described.get("content")
        if content is None or method == "HEAD":
            assert not answer.content, what
            return
        kind = answer.headers["Content-Type"].partition(";")[0]
        assert kind in content, f"{kind}: {what}"
        if kind == "application/json":
            self.validate(content[kind]["schema"], answer.json)

    def validate(self, schema, value):
        """Check a value; references are those of the document."""
        DIALECT({**schema, "components": self.document["components"]}).validate(value)
