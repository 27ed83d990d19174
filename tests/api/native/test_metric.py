"""/metrics: what it counts, and who may read it."""

import dataclasses
import uuid

import pytest
from prometheus_client import parser

from imagesvc import opts
from imagesvc.api import app as door
from imagesvc.db import audit_seal
from imagesvc.db import job as jobs
from imagesvc.domain.state import JobState
from imagesvc.manager.metric import MetricManager
from tests.api.caller import Caller
from tests.unit.db import make


@pytest.fixture
def fresh(service):
    """The service with a counting manager of its own, which remembers nothing."""
    manager = MetricManager(service.database, service.health._database, service.backends)
    return dataclasses.replace(service, metrics=manager)


@pytest.fixture
def app(fresh):
    """Its application, with counters of its own."""
    return door.create_app(fresh)


@pytest.fixture
def nobody(app):
    """Someone without a token."""
    return Caller(app, token="none")


def samples(nobody, **more):
    """(name, labels) -> value."""
    found = nobody.get("/metrics", **more)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(found.text)
        for sample in family.samples
    }


def value(found, name, **labels):
    """One sample; 0 if it is not there."""
    return found.get((name, tuple(sorted(labels.items()))), 0)


def test_requests_are_counted_by_route_template_and_status(app, nobody):
    caller = Caller(app)
    image_id = caller.active(b"y" * 12345)
    caller.get(f"/v2/images/{image_id}/file")
    caller.get(f"/v2/images/{uuid.uuid4()}")
    caller.get(f"/v2/images/{uuid.uuid4()}")
    caller.get("/v2/nothing/here/at/all")
    found = samples(nobody)
    count = "imagesvc_http_requests_total"
    shown = "/v2/images/{image_id}"
    assert value(found, count, method="GET", route=shown, status="404") == 2
    assert value(found, count, method="PUT", route=shown + "/file", status="204") == 1
    assert value(found, count, method="GET", route="unmatched", status="404") == 1
    assert value(found, "imagesvc_http_received_bytes_total", route=shown + "/file") == 12345
    assert value(found, "imagesvc_http_sent_bytes_total", route=shown + "/file") == 12345
    assert value(found, "imagesvc_http_sent_bytes_total", route=shown) > 0
    timed = "imagesvc_http_request_seconds_count"
    assert value(found, timed, method="GET", route=shown) == 2
    assert image_id not in nobody.get("/metrics").text


def test_an_odd_method_makes_no_new_series(nobody):
    nobody.request("TRACE", "/healthcheck")
    assert {dict(labels).get("method") for _, labels in samples(nobody)} == {None, "other"}


def test_jobs_are_counted_by_type_and_state(fresh, nobody):
    before = samples(nobody)
    with fresh.database.write() as conn:
        jobs.insert(conn, make.job())
    fresh.metrics._counted = float("-inf")
    after = samples(nobody)
    labels = {"type": "create-servers", "state": JobState.READY}
    name = "imagesvc_jobs"
    assert value(after, name, **labels) == value(before, name, **labels) + 1
    assert value(after, "imagesvc_oldest_ready_job_age_seconds") >= 0


def test_the_unsealed_tail_of_the_trail_is_told(app, fresh, nobody):
    Caller(app).create()
    with fresh.database.read() as conn:
        number, _ = audit_seal.unsealed_since(conn)
    found = samples(nobody)
    assert value(found, "imagesvc_audit_unsealed") == number > 0
    assert value(found, "imagesvc_audit_unsealed_age_seconds") > 0


def test_backends_and_database_are_told(nobody):
    found = samples(nobody)
    assert value(found, "imagesvc_database_up") == 1
    name = "imagesvc_backend_up"
    assert value(found, name, kind="storage", backend="local", driver="file") == 1


def test_only_the_networks_that_are_allowed_read_it(nobody):
    assert samples(nobody, remote_addr="127.0.0.9")
    assert samples(nobody, remote_addr="::ffff:127.0.0.1")
    found = nobody.get("/metrics", remote_addr="192.0.2.1")
    assert found.status_code == 403
    assert "[metrics] allowed_networks" in found.json["error"]["message"]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_what_comes_through_a_proxy_is_refused(nobody, header):
    assert nobody.get("/metrics", headers={header: "127.0.0.1"}).status_code == 403


def options(tmp_path, text):
    """A configuration with this section."""
    path = tmp_path / "imagesvc.conf"
    path.write_text(f"[metrics]\n{text}\n")
    return opts.load(path)


def test_an_empty_list_opens_it_to_all(fresh, tmp_path):
    conf = options(tmp_path, "allowed_networks =")
    nobody = Caller(door.create_app(dataclasses.replace(fresh, conf=conf)), token="none")
    assert samples(nobody, remote_addr="192.0.2.1", headers={"X-Forwarded-For": "192.0.2.2"})


def test_with_a_port_of_its_own_it_is_nowhere_else(fresh, tmp_path):
    conf = options(tmp_path, "bind_port = 9293")
    nobody = Caller(door.create_app(dataclasses.replace(fresh, conf=conf)), token="none")
    assert nobody.get("/metrics").status_code == 404
    assert samples(nobody, port=9293)
