"""A real Nova 34 with Placement 16 that takes its images from the catalog's image service.

API, conductor, scheduler and compute are one process on SQLite. The virt driver is Nova's fake
one with a real file as the disk of each server, so boots and snapshots move real bytes.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tests.client.conftest import free_port
from tests.keystone_server import PASSWORD, KeystoneServer
from tests.peer import peer_process, peer_venv

INSIDE = Path(__file__).parent / "inside"
PACKAGES = ("nova==34.0.0", "openstack-placement==16.0.0")
DATABASES = ("api", "cell0", "cell1")

CONF = """
[DEFAULT]
host = peer
my_ip = 127.0.0.1
state_path = {folder}/state
log_file = {folder}/nova.log
use_stderr = false
compute_driver = file_virt.FileDriver
transport_url = fake:/
instances_path = {folder}/instances
service_down_time = 100000
[wsgi]
api_paste_config = {venv}/etc/nova/api-paste.ini
[api_database]
connection = sqlite:///{folder}/api.sqlite?timeout=60
[database]
connection = sqlite:///{folder}/cell1.sqlite?timeout=60
[oslo_concurrency]
lock_path = {folder}/lock
[keystone_authtoken]
www_authenticate_uri = {keystone}
{login}
[service_user]
send_service_user_token = true
{login}
[glance]
service_type = image
valid_interfaces = internal
region_name = RegionOne
[cinder]
catalog_info = block-storage::publicURL
os_region_name = RegionOne
{login}
[placement]
auth_type = admin_token
token = admin
endpoint = http://127.0.0.1:{placement_port}
endpoint_override = http://127.0.0.1:{placement_port}
[neutron]
auth_type = admin_token
token = admin
endpoint = http://127.0.0.1:{neutron_port}
endpoint_override = http://127.0.0.1:{neutron_port}
[quota]
instances = -1
cores = -1
ram = -1
[key_manager]
backend = nova.keymgr.conf_key_mgr.ConfKeyManager
[vnc]
enabled = false
[oslo_policy]
policy_file = {folder}/policy.yaml
"""
# Flavors whose system disk is as large as the image, so that snapshots are small.
POLICY = """
os_compute_api:servers:create:zero_disk_flavor: ""
"""
PLACEMENT_CONF = """
[DEFAULT]
log_file = {folder}/placement.log
use_stderr = false
[api]
auth_strategy = noauth2
[placement_database]
connection = sqlite:///{folder}/placement.sqlite?timeout=60
sync_on_startup = true
"""
LOGIN = """
auth_type = password
auth_url = {keystone}
username = {user}
password = {password}
user_domain_id = default
project_name = service
project_domain_id = default
"""


def login(keystone: KeystoneServer, user: str) -> str:
    """Options by which a service of OpenStack logs in as itself."""
    return LOGIN.format(keystone=keystone.url, user=user, password=PASSWORD).strip()


@contextlib.contextmanager
def started(folder: Path, keystone: KeystoneServer, user: str) -> Iterator[Path]:
    """Nova, in the catalog as `compute`; gives the folder of its servers' disks.

    `user` is a service user of Keystone.
    """
    venv = peer_venv.make("nova", *PACKAGES)
    ports = [free_port() for _ in range(3)]
    url = f"http://127.0.0.1:{ports[0]}/v2.1"
    for name in ("state", "instances", "lock"):
        (folder / name).mkdir()
    (folder / "placement.conf").write_text(PLACEMENT_CONF.format(folder=folder))
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "nova.conf").write_text(
        CONF.format(
            folder=folder, venv=venv, keystone=keystone.url, login=login(keystone, user),
            placement_port=ports[1], neutron_port=ports[2],
        )
    )  # fmt: skip
    _make_databases(folder, venv)
    keystone.register("compute", url)
    command = [venv / "bin" / "python", INSIDE / "nova_all.py", *ports]
    command += ["--config-file", folder / "nova.conf"]
    log = folder / "stdout.log"
    with peer_process.running(
        [*peer_process.ALONG, *command],
        log,
        lambda: "up 3\n" in log.read_text(errors="replace"),
        environment={"OS_PLACEMENT_CONFIG_DIR": str(folder), "PATH": _path(venv)},
    ):
        yield folder / "instances"


def _path(venv: Path) -> str:
    return f"{venv / 'bin'}:{peer_process.clean()['PATH']}"


def _make_databases(folder: Path, venv: Path) -> None:
    """The tables, and the one cell."""
    manage = (venv / "bin" / "nova-manage", "--config-file", folder / "nova.conf")
    url = f"sqlite:///{folder}/{{}}.sqlite?timeout=60"
    peer_process.run(*manage, "api_db", "sync")
    peer_process.run(*manage, "cell_v2", "map_cell0", "--database_connection", url.format("cell0"))
    peer_process.run(*manage, "db", "sync")
    peer_process.run(
        *manage, "cell_v2", "create_cell", "--name", "cell1", "--transport-url", "fake:/",
        "--database_connection", url.format("cell1"),
    )  # fmt: skip
    for name in DATABASES:
        with contextlib.closing(sqlite3.connect(folder / f"{name}.sqlite")) as conn:
            conn.execute("PRAGMA journal_mode = wal")
