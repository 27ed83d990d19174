"""Every answer that a test of our own API gets is held against the API's description."""

import dataclasses

import pytest
from falcon import testing

from imagesvc import service as services
from imagesvc.api import app as door
from tests import migrated
from tests.api.caller import Caller
from tests.api.conftest import configure, populated
from tests.api.identity_driver import TokenIdentity
from tests.api.native.conformance import Description
from tests.api.native.customer import Customer
from tests.api.native.installation import Installation, make_agency, section


@pytest.fixture(scope="session")
def description(built):
    """What the service says of itself, told by an app that no test looks at."""
    found = testing.simulate_get(door.create_app(built), "/imagesvc/v1/openapi.json")
    assert found.status_code == 200
    return Description(found.json)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def each_service(request, tmp_path_factory):
    """A service of these tests alone on each engine, since they look at all of its rows and bytes."""
    url = ""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql_server")
        url = server.create(request.getfixturevalue("postgresql_template"))
    section = f"[database]\nurl = {url}\n" if url else ""
    conf = configure(tmp_path_factory.mktemp("native"), section)
    if not url:
        migrated.make(conf.database.url)
    built = services.build(conf, monitor=False)
    yield dataclasses.replace(built, identity=TokenIdentity(None, backend_id="test"))
    built.close()
    if url:
        server.drop(url)


@pytest.fixture(scope="session")
def each_app(each_service):
    """The WSGI application of each."""
    return populated(door.create_app(each_service))


@pytest.fixture(autouse=True)
def _answers_are_as_described(description, monkeypatch):
    send = Caller.request

    def checked(self, method, path, *args, **kwargs):
        answer = send(self, method, path, *args, **kwargs)
        description.check(method, path, answer)
        return answer

    monkeypatch.setattr(Caller, "request", checked)


@pytest.fixture(params=["sqlite", "postgresql"])
def customer(request, tmp_path, s3_place):
    """A customer's bucket, and a service on each engine that may reach it."""
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    made = Customer(tmp_path, url, s3_place)
    yield made
    made.close()


@pytest.fixture(scope="session")
def west(tmp_path_factory, postgresql_server, postgresql_template):
    """The target region, on PostgreSQL, with a worker."""
    url = postgresql_server.create(postgresql_template)
    more = f"[worker]\npoll_interval_s = 0.05\n[database]\nurl = {url}\n"
    made = Installation(tmp_path_factory.mktemp("west"), "West", more)
    made.admit("east")
    made.open()
    made.employ()
    yield made
    made.close()
    postgresql_server.drop(url)


@pytest.fixture(scope="session")
def east(tmp_path_factory, west):
    """The source region; tests do its work themselves. One request sends 1 MiB."""
    more = section(west, "east", "patch_mib = 1\ntimeout_s = 5\n")
    made = Installation(tmp_path_factory.mktemp("east"), "East", more)
    yield made
    made.close()


@pytest.fixture
def source(east):
    """A member of a project in the source region."""
    return east.caller()


@pytest.fixture
def target(west, source):
    """A member of a project in the target region, which has an agency for the source's."""
    made = west.caller()
    make_agency(made, source.project)
    return made
