"""A real Ironic 39 that takes its images from the catalog's image service.

API and conductor are one command on SQLite; nodes are of the hardware type `peer`, almost its fake
one, and their agent is `tests.peer.ironic_agent`. The folder from which agents fetch images is served over HTTP.
"""

import contextlib
import functools
import http.server
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.client.conftest import free_port
from tests.keystone_server import KeystoneServer
from tests.peer import peer_process, peer_venv
from tests.peer.nova_server import login

INSIDE = Path(__file__).parent / "inside"
PACKAGES = ("ironic==39.0.0",)
PLUGIN = {
    "METADATA": "Metadata-Version: 2.1\nName: peer-hardware\nVersion: 1\n",
    "entry_points.txt": "[ironic.hardware.types]\npeer = peer_hardware:PeerHardware\n",
}

CONF = """
[DEFAULT]
auth_strategy = keystone
host = peer
my_ip = 127.0.0.1
state_path = {folder}/state
log_file = {folder}/ironic.log
use_stderr = false
rpc_transport = none
enabled_hardware_types = peer
enabled_bios_interfaces = no-bios
enabled_boot_interfaces = fake
enabled_console_interfaces = no-console
enabled_deploy_interfaces = direct
enabled_firmware_interfaces = no-firmware
enabled_inspect_interfaces = no-inspect
enabled_management_interfaces = noop
enabled_network_interfaces = noop
enabled_power_interfaces = fake
enabled_raid_interfaces = no-raid
enabled_rescue_interfaces = no-rescue
enabled_storage_interfaces = noop
enabled_vendor_interfaces = no-vendor
default_deploy_interface = direct
default_network_interface = noop
[api]
host_ip = 127.0.0.1
port = {port}
[database]
connection = sqlite:///{folder}/ironic.sqlite?timeout=60
[oslo_concurrency]
lock_path = {folder}/state
[conductor]
automated_clean = false
[agent]
image_download_source = http
require_tls = false
[deploy]
http_root = {folder}/http
http_url = http://127.0.0.1:{http_port}
[pxe]
tftp_root = {folder}/tftp
images_path = {folder}/images
tftp_master_path = {folder}/master
instance_master_path = {folder}/instances
[keystone_authtoken]
www_authenticate_uri = {keystone}
{login}
[glance]
region_name = RegionOne
{login}
[service_catalog]
endpoint_override = http://127.0.0.1:{port}
{login}
"""


@contextlib.contextmanager
def started(folder: Path, keystone: KeystoneServer, user: str) -> Iterator[str]:
    """Ironic, in the catalog as `baremetal`; gives its URL. `user` is a service user of Keystone."""
    peer_process.need(qemu_img="qemu-utils")
    venv = peer_venv.make("ironic", *PACKAGES)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    for name in ("state", "http", "tftp", "images", "master", "instances"):
        (folder / name).mkdir()
    plugin = folder / "plugin" / "peer_hardware-1.dist-info"
    plugin.mkdir(parents=True)
    for name, text in PLUGIN.items():
        (plugin / name).write_text(text)
    conf = folder / "ironic.conf"
    with _served(folder / "http") as http_port:
        conf.write_text(
            CONF.format(
                folder=folder, port=port, http_port=http_port, keystone=keystone.url,
                login=login(keystone, user),
            )
        )  # fmt: skip
        peer_process.run(venv / "bin" / "ironic-dbsync", "--config-file", conf, "create_schema")
        keystone.register("baremetal", url)
        with peer_process.running(
            [*peer_process.ALONG, venv / "bin" / "ironic", "--config-file", conf],
            folder / "stdout.log",
            lambda: peer_process.answers(url, 200) and _conducts(folder),
            environment={
                "PATH": f"{venv / 'bin'}:{peer_process.clean()['PATH']}",
                "PYTHONPATH": f"{plugin.parent}:{INSIDE}",
            },
        ):
            yield url


class Silent(http.server.SimpleHTTPRequestHandler):
    """Files without a log."""

    def log_message(self, *words):
        """Nothing."""


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[int]:
    """A folder over HTTP; gives the port."""
    handler = functools.partial(Silent, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def _conducts(folder: Path) -> bool:
    """Whether the conductor has registered its hardware types."""
    with contextlib.closing(
        sqlite3.connect(f"file:{folder}/ironic.sqlite?mode=ro", uri=True)
    ) as conn:
        return bool(conn.execute("SELECT 1 FROM conductor_hardware_interfaces").fetchone())
