"""A real Cinder 29 that takes its images from the catalog's image service.

API, scheduler and volume service are one process on SQLite. Its stock NFS driver has a folder in
place of the share: bubblewrap binds it where the driver expects the mount, for this process alone.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tests.client.conftest import free_port
from tests.keystone_server import KeystoneServer
from tests.peer import peer_process, peer_venv
from tests.peer.nova_server import login

INSIDE = Path(__file__).parent / "inside"
PACKAGES = ("cinder==29.0.0",)
SHARE = "local:/share"
SERVICES = {"cinder-scheduler", "cinder-volume"}

CONF = """
[DEFAULT]
state_path = {folder}/state
my_ip = 127.0.0.1
host = peer
log_file = {folder}/cinder.log
use_stderr = false
auth_strategy = keystone
api_paste_config = {venv}/etc/cinder/api-paste.ini
resource_query_filters_file = {venv}/etc/cinder/resource_filters.json
osapi_volume_listen = 127.0.0.1
osapi_volume_listen_port = {port}
osapi_volume_workers = 1
transport_url = fake://
service_down_time = 100000
enabled_backends = files
default_volume_type = __DEFAULT__
glance_catalog_info = image:imagesvc:internalURL
allowed_direct_url_schemes = file
image_conversion_dir = {folder}/conversion
rootwrap_config = {folder}/rootwrap.conf
[database]
connection = sqlite:///{folder}/cinder.sqlite?timeout=60
[oslo_concurrency]
lock_path = {folder}/lock
[coordination]
backend_url = file://{folder}/state
[keystone_authtoken]
www_authenticate_uri = {keystone}
{login}
[service_user]
send_service_user_token = true
{login}
[glance]
{login}
[files]
volume_driver = cinder.volume.drivers.nfs.NfsDriver
volume_backend_name = files
nas_host = local
nas_share_path = /share
nfs_mount_point_base = {folder}/mount
nas_secure_file_operations = false
nas_secure_file_permissions = false
nfs_qcow2_volumes = true
nfs_snapshot_support = true
"""
ROOTWRAP = """
[DEFAULT]
filters_path = {venv}/etc/cinder/rootwrap.d
exec_dirs = {folder}/bin,/usr/sbin,/usr/bin,/sbin,/bin,{venv}/bin
use_syslog = false
"""
# Cinder runs tools as root by these; it may do here what it needs as it is.
COMMANDS = {
    "sudo": '#!/bin/sh\nwhile case "$1" in -*) true ;; *) false ;; esac; do shift; done\nexec "$@"\n',
    "mount.nfs": "#!/bin/sh\nexit 0\n",
}


@contextlib.contextmanager
def started(folder: Path, keystone: KeystoneServer, user: str) -> Iterator[Path]:
    """Cinder, in the catalog as `block-storage`; gives the folder of its volumes' files.

    `user` is a service user of Keystone.
    """
    peer_process.need(bwrap="bubblewrap", qemu_img="qemu-utils")
    venv = peer_venv.make("cinder", *PACKAGES)
    port = free_port()
    share, mount = folder / "share", folder / "mount" / hashlib.md5(SHARE.encode()).hexdigest()
    for each in (share, mount, *(folder / name for name in ("state", "conversion", "lock", "bin"))):
        each.mkdir(parents=True)
    for name, text in COMMANDS.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    conf = folder / "cinder.conf"
    conf.write_text(
        CONF.format(
            folder=folder, venv=venv, port=port, keystone=keystone.url,
            login=login(keystone, user),
        )
    )  # fmt: skip
    (folder / "rootwrap.conf").write_text(ROOTWRAP.format(folder=folder, venv=venv))
    peer_process.run(venv / "bin" / "cinder-manage", "--config-file", conf, "db", "sync")
    keystone.register("block-storage", f"http://127.0.0.1:{port}/v3")
    command = [
        "bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--bind", share, mount,
        venv / "bin" / "python", INSIDE / "cinder_all.py", "--config-file", conf,
    ]  # fmt: skip
    path = f"{folder / 'bin'}:{venv / 'bin'}:{peer_process.clean()['PATH']}"
    database = folder / "cinder.sqlite"
    with peer_process.running(
        command,
        folder / "stdout.log",
        lambda: peer_process.answers(f"http://127.0.0.1:{port}/", 300) and _registered(database),
        environment={"PATH": path},
    ):
        yield share


def _registered(database: Path) -> bool:
    """Whether scheduler and volume service are there."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as conn:
        rows = conn.execute('SELECT "binary" FROM services').fetchall()
    return {binary for (binary,) in rows} >= SERVICES
