"""API and worker with a real Keystone: what the clients of a cloud meet."""

import contextlib
import dataclasses
import signal
import subprocess
from pathlib import Path

import yaml

from tests.client import conftest as client
from tests.keystone_server import PASSWORD, KeystoneServer

IDENTITY = """
[identity]
enabled_backends = keystone:keystone
[identity_keystone]
auth_url = {url}
username = {user}
password = {password}
timeout_s = 60
system_scope = true
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

    @property
    def url(self):
        """The root of the API, as it stands in the catalog under `image`."""
        return f"http://127.0.0.1:{self.port}"

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


@contextlib.contextmanager
def started(folder: Path, server: KeystoneServer, more: str = ""):
    """A service in a folder, registered as `image` in the catalog of a Keystone that runs."""
    port = client.free_port()
    identity = IDENTITY.format(url=server.url, user=server.service_user, password=PASSWORD)
    conf = folder / "imagesvc.conf"
    text = client.CONF.format(folder=folder, port=port, threads=16, more=identity + more)
    text = text.replace(f"[identity_local]\npath = {folder}/identity.sqlite\n", "")
    conf.write_text(text)
    client.manage(folder, "db", "upgrade")
    server.register("image", f"http://127.0.0.1:{port}")
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
