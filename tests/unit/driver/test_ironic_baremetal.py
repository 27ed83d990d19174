"""What the driver of Ironic asks for, and what it makes of the answers, on the wire."""

import dataclasses
import json
import urllib.parse

import pytest

from imagesvc.interface import base, errors
from imagesvc.interface.baremetal import DeploySpec
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.baremetal.ironic import IronicBaremetal, node, work
from imagesvc_drivers.baremetal.ironic.node import Mark
from tests import web_server

PROJECT = "p"
NODE_ID = "0b0d2f6e-7f3c-4a54-9b0e-2f8f5b9d8c11"
PATH = f"/nodes/{NODE_ID}"
EARLY, LATE = "2026-11-29T10:00:00+00:00", "2026-11-29T10:00:01+00:00"
SOURCE = ImageSource("i", 0, "raw", 512, 512, "0" * 128, "http://127.0.0.1:9/new")
SPEC = DeploySpec(PROJECT, SOURCE, "i")
NAME = work.name(work.DEPLOY, "t")
MARK = Mark(NAME, work.DEPLOY, PROJECT, "i", work.instance(NAME), EARLY, fresh=True)
VERSION = {
    "id": "v1", "links": [{"rel": "self", "href": "/v1/"}],
    "version": {
        "id": "v1", "status": "CURRENT", "version": "1.109", "min_version": "1.1",
        "links": [{"rel": "self", "href": "/v1/"}],
    },
}  # fmt: skip


class Ironic:
    """One node, to which the orders are kept in `orders`; `refusals` are answers to a method."""

    def __init__(self, found, refusals):
        self.found = found
        self.refusals = refusals
        self.orders = []

    def __call__(self, head, connection):
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        path = urllib.parse.urlsplit(target).path.removeprefix("/v1").rstrip("/")
        status, body = "200 OK", VERSION
        if path and method != "GET":
            self.orders.append((method, path))
        if path and method in self.refusals:
            status, body = self.refusals[method]
        elif path.startswith(PATH):
            body = self.found
        elif path:
            status = "404 Not Found"
        kind = "Content-Type: application/json"
        connection.sendall(web_server.answer(json.dumps(body).encode(), kind, status=status))


@pytest.fixture
def made():
    """Makes a driver whose Ironic has one node in this state."""
    contexts, drivers = [], []

    def make(state="available", mark=None, refusals=None, **fields):
        extra = {} if mark is None else {node.MARK: dataclasses.asdict(mark)}
        found = {
            "uuid": NODE_ID, "provision_state": state, "provision_updated_at": LATE,
            "last_error": None, "properties": {"local_gb": 1}, "lessee": PROJECT,
            "instance_uuid": None, "extra": extra, **fields,
        }  # fmt: skip
        ironic = Ironic(found, refusals or {})
        contexts.append(web_server.serving(ironic))
        values = {"token": "t", "endpoint": contexts[-1].__enter__().url("/v1"), "timeout_s": 5.0}
        drivers.append(IronicBaremetal(options_of(IronicBaremetal, values), backend_id="test"))
        return drivers[-1], ironic

    yield make
    for driver in drivers:
        driver.close()
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("state", ["deploying", "wait call-back", "active"])
def test_what_ironic_took_is_not_asked_for_again(made, state):
    driver, ironic = made(state, MARK, instance_uuid=MARK.instance)
    handle = driver.start_deploy(NODE_ID, SPEC, "t")
    assert handle == work.handle(work.DEPLOY, NODE_ID, NAME)
    done = driver.poll(handle).state is ProgressState.DONE
    assert done == (state == "active")
    assert ironic.orders == []


def test_what_was_claimed_and_not_asked_for_is_asked_for_with_the_new_url(made):
    driver, ironic = made(
        "available", MARK, instance_uuid=MARK.instance, provision_updated_at=EARLY
    )
    driver.start_deploy(NODE_ID, SPEC, "t")
    assert ironic.orders == [("PATCH", PATH), ("PUT", f"{PATH}/states/provision")]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"instance_uuid": "of nova"}, "another service"),
        ({"state": "cleaning"}, "it is cleaning"),
        ({"state": "clean failed", "last_error": "broken"}, "broken"),
        ({"maintenance": True, "maintenance_reason": "fans"}, "fans"),
        ({"mark": dataclasses.replace(MARK, work="other", before=LATE)}, "about to begin"),
    ],
)
def test_a_node_that_is_not_free_for_it_is_not_touched(made, fields, words):
    driver, ironic = made(**fields)
    with pytest.raises(errors.Busy, match=words):
        driver.start_deploy(NODE_ID, SPEC, "t")
    assert ironic.orders == []


def test_a_node_that_another_was_quicker_to_take_is_busy(made):
    refusal = {"PATCH": ("409 Conflict", {"error_message": {"faultstring": "taken"}})}
    driver, ironic = made(refusals=refusal)
    with pytest.raises(errors.Busy, match="taken"):
        driver.start_deploy(NODE_ID, SPEC, "t")
    assert {method for method, _ in ironic.orders} == {"PATCH"}


def test_an_ironic_that_is_away_may_come_back(made):
    away = ("503 Service Unavailable", {})
    driver, _ = made(refusals={"GET": away})
    with pytest.raises(errors.Unavailable) as raised:
        driver.get_node(NODE_ID, project_id=PROJECT)
    assert raised.value.retryable
    with pytest.raises(errors.Unavailable):
        driver.poll(work.handle(work.DEPLOY, NODE_ID, NAME))


def test_an_ironic_that_does_not_answer_is_down(made):
    driver, _ = made()
    assert driver.health().state is base.HealthState.OK
    options = options_of(IronicBaremetal, {"token": "t", "endpoint": "http://127.0.0.1:9/v1"})
    gone = IronicBaremetal(options, backend_id="test")
    assert gone.health().state is base.HealthState.DOWN
    gone.close()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (dataclasses.replace(SOURCE, disk_format="vmdk"), "not in vmdk"),
        (dataclasses.replace(SOURCE, digest=""), "digest"),
        (dataclasses.replace(SOURCE, virtual_size_bytes=2 << 30), "has less"),
    ],
)
def test_an_image_that_ironic_cannot_take_is_refused_before_the_node_is_touched(
    made, source, words
):
    driver, ironic = made()
    with pytest.raises(errors.InvalidArgument, match=words):
        driver.start_deploy(NODE_ID, DeploySpec(PROJECT, source, "i"), "t")
    assert ironic.orders == []


def test_a_deployment_that_failed_is_taken_back_with_its_cause(made):
    driver, ironic = made("deploy failed", MARK, instance_uuid=MARK.instance, last_error="why")
    handle = work.handle(work.DEPLOY, NODE_ID, NAME)
    assert driver.poll(handle).state is ProgressState.RUNNING
    assert ironic.orders == [("PATCH", PATH), ("PUT", f"{PATH}/states/provision")]


def test_what_another_work_followed_is_told_by_the_mark(made):
    mark = dataclasses.replace(MARK, work="b" * 40, ended={NAME: ["failed", "why"]})
    driver, _ = made("active", mark, instance_uuid=MARK.instance)
    ended = driver.poll(work.handle(work.DEPLOY, NODE_ID, NAME))
    assert (ended.state, ended.error) == (ProgressState.FAILED, "why")
    with pytest.raises(errors.NotFound):
        driver.poll(work.handle(work.DEPLOY, NODE_ID, "c" * 40))


@pytest.mark.parametrize("state", ["available", "wait call-back", "deploy failed"])
def test_what_somebody_else_took_is_neither_gone_on_with_nor_taken_back(made, state):
    driver, ironic = made(state, MARK, instance_uuid="of nova", provision_updated_at=EARLY)
    handle = work.handle(work.DEPLOY, NODE_ID, NAME)
    ended = driver.poll(handle)
    assert ended.state is ProgressState.FAILED
    assert "Somebody else" in ended.error
    driver.cancel(handle)
    assert ironic.orders == []
