"""A small cloud: Keystone, this service as its image service, and neighbours that use it."""

import contextlib
import os
import re
from collections import Counter

import pytest

from tests import keystone_service
from tests.keystone_server import PASSWORD, KeystoneServer
from tests.peer import cinder_server, ironic_server, nova_server

MORE = """
[database]
url = {url}
[compute]
enabled_backends = nova:nova
[compute_nova]
auth_url = {keystone}
username = {user}
password = {password}
networks = none
timeout_s = 60
[volume]
enabled_backends = cinder:cinder
[volume_cinder]
auth_url = {keystone}
username = {user}
password = {password}
timeout_s = 60
[baremetal]
enabled_backends = ironic:ironic
[baremetal_ironic]
auth_url = {keystone}
username = {administrator}
password = {password}
timeout_s = 60
"""


@pytest.fixture(scope="session")
def cloud(tmp_path_factory, postgresql_server, postgresql_template):
    """API and worker on PostgreSQL, in the catalog of a Keystone of these tests alone."""
    keystone = KeystoneServer()
    with contextlib.ExitStack() as stack:
        stack.callback(keystone.remove)
        keystone.start()
        keystone.grant_everywhere(keystone.service_user, "member")
        administrator = keystone.user(keystone.project())
        keystone.grant_system(administrator, "admin")
        more = MORE.format(
            url=postgresql_server.create(postgresql_template),
            keystone=keystone.url,
            user=keystone.service_user,
            administrator=administrator,
            password=PASSWORD,
        )
        folder = tmp_path_factory.mktemp("cloud")
        yield stack.enter_context(keystone_service.started(folder, keystone, more))


@pytest.fixture(scope="session")
def service_project(cloud):
    """The project of services: imagesvc's own user is in it already."""
    (found,) = cloud.keystone.call("GET", "/projects?name=service").json()["projects"]
    return found["id"]


@pytest.fixture(scope="session")
def nova(tmp_path_factory, cloud, service_project):
    """Nova on the image service; gives the folder of its servers' disks."""
    user = cloud.keystone.user(service_project, "service", "admin")
    with nova_server.started(tmp_path_factory.mktemp("nova"), cloud.keystone, user) as disks:
        yield disks


@pytest.fixture(scope="session")
def cinder(tmp_path_factory, cloud, service_project):
    """Cinder on the image service; gives the folder of its volumes' files."""
    user = cloud.keystone.user(service_project, "service")
    with cinder_server.started(tmp_path_factory.mktemp("cinder"), cloud.keystone, user) as volumes:
        yield volumes


@pytest.fixture(scope="session")
def ironic(tmp_path_factory, cloud, service_project):
    """Ironic on the image service; gives its URL."""
    user = cloud.keystone.user(service_project, "service")
    with ironic_server.started(tmp_path_factory.mktemp("ironic"), cloud.keystone, user) as url:
        yield url


@pytest.fixture(scope="session")
def disk(tmp_path_factory):
    """A raw disk of 3 MiB; no two sectors are alike."""
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    path.write_bytes(os.urandom(3 << 20))
    return path


def calls_in(text):
    """Calls in lines of the access log: `(method, path, status)` -> how often; ids as ID."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    return Counter(re.findall(r"method=(\S+) path=(\S+) status=(\d+)", text))


def is_expected(method, path, status):
    """Whether Glance answers clients so when all is well; a name that is no id is looked for."""
    looked_for = method == "GET" and status == "404" and re.fullmatch(r"/v2/images/[^/]+", path)
    return status in ("200", "201", "202", "204", "300") or bool(looked_for)


@pytest.fixture
def calls(cloud):
    """Calls at the image service since the test began; none may have gone wrong in the end."""
    log = cloud.folder / "log"
    begun = log.stat().st_size

    def read():
        with log.open("rb") as lines:
            lines.seek(begun)
            return calls_in(lines.read().decode())

    yield read
    assert [call for call in read() if not is_expected(*call)] == []
