"""Several processes, and a key or a membership that is taken away in one of them."""

import http.client
import json
import uuid

import pytest

from tests.crash.sealed import DATA, MIB, SealedStation
from tests.crash.station import free_port, until

OFTEN_S = 5.0


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """An installation with two APIs, and their ports."""
    made = SealedStation(tmp_path_factory.mktemp("apis"))
    made.ports = [made.port, free_port()]
    for port in made.ports:
        made.start("api", port=port)
    for port in made.ports:
        until(lambda port=port: made.ready(port))
    made.owner = {"X-Auth-Token": made.token()}
    yield made
    made.stop()


@pytest.fixture
def apis(started):
    """The same with an image, whose key opens it before and after."""
    started.image_id = started.filled().id
    yield started
    change(started, started.key_id, started.owner, enabled=True)


def of_member(station):
    """The headers of a project that the image was offered to, and which accepted it; its id."""
    identity = station.service.identity
    name = uuid.uuid4().hex
    project = identity.create_project(name)
    identity.grant("crash", name, "member")
    headers = {"X-Auth-Token": station.token(name)}
    status, _, body = station.call("POST", "/imagesvc/v1/key", b'{"name": "m"}', as_json(headers))
    assert status == 201, body
    key_id = json.loads(body)["key"]["id"]
    change(station, key_id, headers, default=True)
    path = f"/v2/images/{station.image_id}/members"
    offer = json.dumps({"member": project}).encode()
    assert station.call("POST", path, offer, as_json(station.owner))[0] == 200
    answer = b'{"status": "accepted"}'
    assert station.call("PUT", f"{path}/{project}", answer, as_json(headers))[0] == 200
    return headers, project


def as_json(headers):
    """For a body."""
    return {**headers, "Content-Type": "application/json"}


def change(station, key_id, headers, port=None, **values):
    """Enable a key, disable it, or make it the default."""
    path, body = f"/imagesvc/v1/key/{key_id}", json.dumps(values).encode()
    status, _, told = station.call("PATCH", path, body, as_json(headers), port=port)
    assert status == 200, told


def read(station, headers):
    """The status of a download at each API, and whether the bytes are right."""
    path, found = f"/v2/images/{station.image_id}/file", []
    for port in station.ports:
        status, _, body = station.call("GET", path, headers=headers, port=port)
        found.append(status)
        assert (body == DATA) == (status == 200)
    return found


def test_a_withdrawal_ends_a_members_access_in_every_process_at_once(apis):
    headers, project = of_member(apis)
    assert read(apis, headers) == [200, 200]
    path = f"/v2/images/{apis.image_id}/members/{project}"
    assert apis.call("DELETE", path, headers=apis.owner, port=apis.ports[0])[0] == 204
    assert read(apis, headers) == [404, 404]
    assert read(apis, apis.owner) == [200, 200]


def test_a_disabled_key_is_noticed_in_every_process_at_once(apis):
    headers, _ = of_member(apis)
    assert read(apis, headers) == read(apis, apis.owner) == [200, 200]
    change(apis, apis.key_id, apis.owner, apis.ports[0], enabled=False)
    assert read(apis, apis.owner) == [409, 409]
    # What was opened as the owner is kept for a second.
    until(lambda: read(apis, headers) == [409, 409], OFTEN_S)
    change(apis, apis.key_id, apis.owner, apis.ports[1], enabled=True)
    assert read(apis, headers) == read(apis, apis.owner) == [200, 200]


def test_a_download_that_has_begun_comes_to_its_end(apis):
    data = b"downloaded while its key is disabled" * MIB  # more than the buffers on the way
    apis.image_id = apis.filled(data).id
    link = http.client.HTTPConnection("127.0.0.1", apis.ports[1], timeout=30)
    try:
        link.request("GET", f"/v2/images/{apis.image_id}/file", headers=apis.owner)
        answer = link.getresponse()
        first = answer.read(MIB)
        change(apis, apis.key_id, apis.owner, apis.ports[0], enabled=False)
        assert first + answer.read() == data
    finally:
        link.close()
    assert read(apis, apis.owner) == [409, 409]
