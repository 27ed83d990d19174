"""API and worker with a real Keystone: what the clients of a cloud meet."""

import contextlib
import dataclasses
import functools
import http.server
import signal
import subprocess
import threading
import uuid
from pathlib import Path

import yaml

from tests import s3_server
from tests.client import conftest as client
from tests.keystone_server import PASSWORD, KeystoneServer

SCALED = """
[database]
url = {database}
[storage]
enabled_backends = main:s3, near:file
default_backend = main
[storage_main]
description = three copies
endpoint_urls = {endpoints}
bucket = {bucket}
prefix = {prefix}/
access_key = {key}
secret_key = {secret}
part_size_mib = 5
[storage_near]
description = one copy
directory = {folder}/near
[fetch]
allowed_networks = 127.0.0.0/8
allowed_ports = {web_port}
[image]
show_multiple_locations = true
[quota]
images = 1000
"""
# Cloud name -> project, role. Tests may make more with `keystone.user` and `add_cloud`.
CLOUDS = {
    "admin": ("admin", "admin"),
    "demo": ("demo", "member"),
    "reader": ("demo", "reader"),
    "manager": ("demo", "manager"),
    "other": ("other", "member"),
    "nova": ("service", "service"),
}


@dataclasses.dataclass
class KeystoneService(client.RunningService):
    """A running service and its Keystone; `openstack(..., cloud=NAME)` takes each of CLOUDS."""

    keystone: KeystoneServer = dataclasses.field(repr=False)
    projects: dict
    web_root: Path | None = None
    web_url: str = ""

    @property
    def url(self):
        """The root of the API, as it stands in the catalog under `image`."""
        return f"http://127.0.0.1:{self.port}"

    def glance(self, *args, cloud="demo", check=True, region="RegionOne"):
        """The unmodified `glance` command, which knows no clouds.yaml, as a cloud's user.

        Its input is a terminal: from anything else it would read bytes for an image.
        """
        clouds = yaml.safe_load((self.folder / "clouds.yaml").read_text())["clouds"]
        auth = clouds[cloud]["auth"]
        words = [f"--os-{name.replace('_', '-')}={value}" for name, value in auth.items()]
        with client.terminal() as stdin:
            return self.run(
                "glance", *words, f"--os-region-name={region}", *args, check=check, stdin=stdin
            )  # fmt: skip

    def add_cloud(self, name, user, project_id):
        """Let clients find a user of Keystone as a cloud of this name."""
        path = self.folder / "clouds.yaml"
        clouds = yaml.safe_load(path.read_text()) if path.exists() else {"clouds": {}}
        clouds["clouds"][name] = {
            "auth_type": "v3password",
            "auth": {
                "auth_url": self.keystone.url, "username": user, "password": PASSWORD,
                "user_domain_id": "default", "project_id": project_id,
            },
            "region_name": "RegionOne", "identity_api_version": 3, "image_api_version": 2,
        }  # fmt: skip
        path.write_text(yaml.safe_dump(clouds))


def scaled(folder: Path, database: str, place, web_url: str) -> str:
    """Sections for a database on PostgreSQL, a store on S3 and one of files beside it."""
    return SCALED.format(
        database=database.replace("$", "$$"),
        endpoints=",".join(place.endpoints),
        bucket=place.bucket,
        prefix=uuid.uuid4().hex,
        key=s3_server.KEY,
        secret=s3_server.SECRET,
        folder=folder,
        web_port=web_url.rpartition(":")[2],
    )


@contextlib.contextmanager
def web(folder: Path):
    """A folder that is on the web, and the URL of it."""
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield folder, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *args):
        """Nothing."""


@contextlib.contextmanager
def started(folder: Path, server: KeystoneServer, more: str = ""):
    """A service in a folder, registered as `image` in the catalog of a Keystone that runs.

    What stood there before stands there afterwards.
    """
    port = client.free_port()
    conf = folder / "imagesvc.conf"
    text = client.CONF.format(folder=folder, port=port, threads=16, more=server.sections() + more)
    text = text.replace(f"[identity_local]\npath = {folder}/identity.sqlite\n", "")
    conf.write_text(text)
    client.manage(folder, "db", "upgrade")
    before = server.register("image", f"http://127.0.0.1:{port}")
    with (folder / "log").open("wb") as log:
        command = [str(client.BIN / "imagesvc-supervisor"), "--config-file", str(conf)]
        supervisor = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    service = KeystoneService(folder, port, supervisor, server, {})
    try:
        for cloud, (project, role) in CLOUDS.items():
            if project not in service.projects:
                service.projects[project] = server.project()
            user = server.user(service.projects[project], role)
            service.add_cloud(cloud, user, service.projects[project])
        client.wait_ready(service)
        yield service
    finally:
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait(client.STOP_S)
        if before:
            server.register("image", before)
