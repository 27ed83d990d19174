"""Every answer that a test of our own API gets is held against the API's description."""

import pytest

from imagesvc.api import app as door
from tests.api.caller import Caller
from tests.api.native.conformance import Description


@pytest.fixture(scope="session")
def description(service):
    """What the service says of itself."""
    found = Caller(door.create_app(service), token="none").get("/imagesvc/v1/openapi.json")
    assert found.status_code == 200
    return Description(found.json)


@pytest.fixture(autouse=True)
def _answers_are_as_described(request, monkeypatch):
    if "app" not in request.fixturenames:
        return
    described = request.getfixturevalue("description")
    send = Caller.request

    def checked(self, method, path, *args, **kwargs):
        answer = send(self, method, path, *args, **kwargs)
        described.check(method, path, answer)
        return answer

    monkeypatch.setattr(Caller, "request", checked)
