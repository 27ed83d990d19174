"""Every answer that a test of our own API gets is held against the API's description."""

import functools

import pytest
from falcon import testing

from tests.api.caller import Caller
from tests.api.native.conformance import Description


@functools.cache
def described(app):
    """What an app says of itself."""
    found = testing.simulate_get(app, "/imagesvc/v1/openapi.json")
    assert found.status_code == 200
    return Description(found.json)


@pytest.fixture
def description(app):
    """What the app says of itself."""
    return described(app)


@pytest.fixture(autouse=True)
def _answers_are_as_described(monkeypatch):
    send = Caller.request

    def checked(self, method, path, *args, **kwargs):
        answer = send(self, method, path, *args, **kwargs)
        described(self.client.app).check(method, path, answer)
        return answer

    monkeypatch.setattr(Caller, "request", checked)
