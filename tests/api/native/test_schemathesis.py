"""Requests made up from the API's description, right and wrong ones, against the whole app.

Whatever comes: no 5xx, no status or header that is not described, and each answer is of the
described shape. The same requests each time, since the seed is fixed.
"""

import dataclasses

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks, openapi
from schemathesis.specs.openapi import checks as openapi_checks

from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.api.native import operation, route
from imagesvc.backend.registry import Backends
from imagesvc.interface.backup import BackupDisk, BackupSpec
from imagesvc.interface.compute import Consistency
from tests.api.caller import Caller
from tests.api.identity_driver import TokenIdentity
from tests.api.native.tus import Tus
from tests.unit.worker.paper_compute import PaperCompute

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

EXAMPLES = 25
PROJECT = "made-up"
CHECKS = (
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
)
ROWS = [(method, path) for path, rows in operation.OPERATIONS.items() for method in rows]


class PaperServers(PaperCompute):
    """With a keyboard."""

    def write_console(self, server_id, data, *, project_id):
        self.get_server(server_id, project_id=project_id)


@pytest.fixture(scope="module")
def paper():
    """Servers on paper, so that answers about servers are seen too."""
    return PaperServers()


@pytest.fixture(scope="module")
def paper_app(conf, built, paper):
    """The app over the same database and store, with those servers."""

    class PaperBackends(Backends):
        def compute(self, backend_id=None):
            super().compute(backend_id)
            return paper

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "Backends", PaperBackends)
        service = services.build(conf, monitor=False)
    identity = TokenIdentity(None, backend_id="test")
    driver = service.backends.backup()
    backup_id = driver.prepare(BackupSpec("x", PROJECT, "server"), "made up")
    with driver.open_write(backup_id, "vda") as writer:
        writer.write(b"x" * 1000)
        writer.commit()
    driver.finish(backup_id, [BackupDisk("vda", 1000, True, "0" * 128)], Consistency.CRASH)
    yield door.create_app(dataclasses.replace(service, identity=identity))
    service.close()


@pytest.fixture(scope="module")
def schema(paper_app):
    """The description as the tool reads it."""
    found = openapi.from_wsgi(f"{route.PREFIX}/openapi.json", paper_app)
    found.config.generation.update(with_security_parameters=False)  # `lead` does that
    return found


@pytest.fixture(scope="module")
def known(paper_app, paper):
    """Ids that lead somewhere."""
    paper.servers["server"] = PROJECT
    caller = Caller(paper_app, PROJECT)
    image_id = caller.active()
    body = {"image_id": image_id, "name": "x"}
    job = caller.request("POST", f"{route.PREFIX}/servers", body).json["job"]
    upload = Tus(caller).begin(1000)[0].rpartition("/")[2]
    new = {"name": "x", "endpoint": "https://s3.example.com", "access_key": "a", "secret_key": "b"}
    store = caller.request("POST", f"{route.PREFIX}/object-stores", new).json["object_store"]
    backups = caller.get(f"{route.PREFIX}/backups").json["backups"]
    return {
        "image_id": image_id, "job_id": job["id"], "server_id": "server", "disk": "0",
        "upload_id": upload, "object_store_id": store["id"], "backup_id": backups[0]["id"],
    }  # fmt: skip


def lead(case, known, data):
    """Let some of the made-up values be good ones: token, ids, range."""
    roles = data.draw(st.sampled_from(["member", "member", "admin,member", "reader", ""]))
    if data.draw(st.integers(0, 9), label="no token") != 7:
        case.headers["X-Auth-Token"] = f"u/{PROJECT}/{roles}"
    if "Range" in case.headers and data.draw(st.booleans(), label="good range"):
        case.headers["Range"] = "bytes=0-9"
    for values in (case.path_parameters, case.body):
        if isinstance(values, dict):
            for name in known.keys() & values.keys():
                if data.draw(st.booleans(), label=f"known {name}"):
                    values[name] = known[name]


@pytest.mark.parametrize(("method", "path"), ROWS)
def test_made_up_requests_get_answers_as_described(schema, known, paper, method, path):
    rooted = path if path.startswith("/healthcheck") else route.PREFIX + path
    described = schema[rooted][method]
    right = described.as_strategy()
    wrong = described.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=right | wrong, data=st.data())
    def run(case, data):
        paper.servers["server"] = PROJECT
        lead(case, known, data)
        # Buffered: the answer is closed once it is read.
        answer = case.call(buffered=True)
        case.validate_response(answer, checks=CHECKS)

    run()
