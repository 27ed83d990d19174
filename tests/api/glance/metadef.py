"""What the tests of metadata definitions share: paths, and a namespace that is there."""

import uuid

from tests.api.caller import Caller

NAMESPACES = "/v2/metadefs/namespaces"
PROPERTY = {"title": "Colour", "type": "string"}


def path(*parts):
    """A path below the namespaces."""
    return "/".join((NAMESPACES, *parts))


def unique(word="NS"):
    """A name that no other test has."""
    return f"{word}::{uuid.uuid4().hex}"


def make(admin, name=None, **fields):
    """A namespace; its JSON."""
    found = admin.request("POST", NAMESPACES, {"namespace": name or unique(), **fields})
    assert found.status_code == 201, found.text
    return found.json


def admin_of(app):
    """An administrator with a project of its own."""
    return Caller(app, None, "admin")


def refused(caller, method, where, body=None, **more):
    """The status of a request."""
    return caller.request(method, where, body, **more).status_code
