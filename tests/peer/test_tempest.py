"""tempest's image tests, unmodified, against the service with a real Keystone."""

import contextlib
import functools
import http.server
import os
import re
import secrets
import subprocess
import threading
from pathlib import Path

import pytest
import requests

from tests import hostile_image, keystone_service
from tests.client import conftest as client
from tests.keystone_server import PASSWORD
from tests.peer import peer_venv
from tests.poll import until

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("keystone"), pytest.mark.timeout(1500)]

PACKAGES = ("setuptools", "tempest", "stestr")
PASSED_MIN = 74
RUN_S = 1200.0
SECOND = "image_second"

STORES = """
[storage]
enabled_backends = alpha:file, beta:file
default_backend = alpha
[storage_alpha]
directory = {folder}/alpha
weight = 10
[storage_beta]
directory = {folder}/beta
[location]
foreign_store = web
[image]
show_image_direct_url = true
show_multiple_locations = true
[import]
methods = glance-direct, web-download, copy-image, glance-download
remote_regions = RegionOne
[fetch]
allowed_ports = 80, 443, {port}
allowed_networks = 127.0.0.1/32
answer_timeout_s = 2
"""

CONF = """
[DEFAULT]
log_file = {folder}/tempest.log
[oslo_concurrency]
lock_path = {folder}/lock
[auth]
use_dynamic_credentials = true
admin_username = {user}
admin_password = {password}
admin_project_name = {project}
admin_domain_name = Default
create_isolated_networks = false
[identity]
uri_v3 = {keystone}
auth_version = v3
region = RegionOne
v3_endpoint_type = public
[identity-feature-enabled]
api_v3 = true
[image]
region = RegionOne
endpoint_type = public
http_image = http://127.0.0.1:{port}/image.raw
http_qcow2_image = http://127.0.0.1:{port}/image.qcow2
image_caching_enabled = false
alternate_image_endpoint = {second}
alternate_image_endpoint_type = public
container_formats = bare,ami,ari,aki,ovf,ova,docker,compressed
disk_formats = raw,qcow2,ami,ari,aki,vhd,vmdk,vdi,iso,vhdx
[image-feature-enabled]
manage_locations = true
http_store_enabled = true
store_weight_enabled = true
image_format_enforcement = true
[enforce_scope]
glance = true
[service_available]
glance = true
nova = false
neutron = false
cinder = false
swift = false
horizon = false
"""


def install():
    """The virtual environment with tempest, and the folder of tempest's package."""
    venv = peer_venv.make("tempest", *PACKAGES)
    where = "import tempest, os; print(os.path.dirname(tempest.__file__))"
    command = [venv / "bin" / "python", "-c", where]
    return venv, subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=120
    ).stdout.strip()


@pytest.fixture
def web(tmp_path):
    """Port of a server with the two files that imports fetch."""
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "image.raw").write_bytes(secrets.token_bytes(65536))
    (folder / "image.qcow2").write_bytes(hostile_image.qcow2())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextlib.contextmanager
def second_api(service):
    """One more API of the same installation, with an endpoint of its own."""
    port = client.free_port()
    command = [str(client.BIN / "imagesvc-api"), "--config-file", service.folder / "imagesvc.conf"]
    environment = {**os.environ, "OS_SERVICE__BIND_PORT": str(port)}
    with (service.folder / "second.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url))
        service.keystone.register(SECOND, url)
        yield
    finally:
        process.terminate()
        process.wait(client.STOP_S)


def answers(url):
    """Whether an API listens there."""
    try:
        return requests.get(f"{url}/versions", timeout=5).ok
    except requests.ConnectionError:
        return False


def run(folder, service, port):
    """Names of tests by how they ended."""
    venv, package = install()
    project = service.keystone.project("tempest")
    user = service.keystone.user(project, "admin")
    etc = folder / "etc"
    etc.mkdir()
    (folder / "lock").mkdir()
    (etc / "tempest.conf").write_text(
        CONF.format(
            folder=folder, user=user, password=PASSWORD, project="tempest",
            keystone=service.keystone.url, port=port, second=SECOND,
        )
    )  # fmt: skip
    (folder / ".stestr.conf").write_text(
        f"[DEFAULT]\ntest_path={package}/test_discover\ntop_dir={Path(package).parent}\n"
        "group_regex=([^\\.]*\\.)*\n"
    )
    # One at a time: the Keystone of tests stands on SQLite.
    environment = {**os.environ, "TEMPEST_CONFIG_DIR": str(etc), "TEMPEST_CONFIG": "tempest.conf"}
    environment.pop("PYTHONPATH", None)
    found = subprocess.run(
        [
            venv / "bin" / "stestr", "run", "--concurrency", "1", "^tempest\\.api\\.image",
        ],
        cwd=folder, env=environment, capture_output=True, text=True,
        timeout=RUN_S,
    )  # fmt: skip
    (folder / "run.log").write_text(found.stdout + found.stderr)
    ended = re.findall(
        r"^\{\d+\} (\S+?)(?:\[\S+)? .*\.\.\. (ok|FAILED|SKIPPED)", found.stdout, re.M
    )
    ended += re.findall(
        r"^\{\d+\} (setUpClass \(\S+\)) .*\.\.\. (FAILED|SKIPPED)", found.stdout, re.M
    )
    return {
        how: sorted(name for name, end in ended if end == how)
        for how in ("ok", "FAILED", "SKIPPED")
    }


def test_tempest_finds_an_image_service(tmp_path, keystone_server, web, request):
    more = STORES.format(folder=tmp_path, port=web)
    with keystone_service.started(tmp_path, keystone_server, more) as service:
        client.manage(tmp_path, "metadef", "load")
        with second_api(service):
            ended = run(tmp_path, service, web)
    for how, names in ended.items():
        print(how, len(names), *names, sep="\n  ")
    assert ended["FAILED"] == []
    assert len(ended["ok"]) >= PASSED_MIN
