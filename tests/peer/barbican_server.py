"""A real Barbican 23 on SQLite, with its crypto plugin `simple_crypto`, behind Keystone."""

import base64
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.client.conftest import free_port
from tests.keystone_server import KeystoneServer
from tests.peer import peer_process, peer_venv
from tests.peer.nova_server import login

INSIDE = Path(__file__).parent / "inside"
PACKAGES = ("barbican==23.0.0", "gunicorn==27.0.1")

CONF = """
[DEFAULT]
host_href = http://127.0.0.1:{port}
transport_url = fake://
db_auto_create = true
[database]
db_auto_create = true
connection = sqlite:///{folder}/barbican.sqlite?timeout=60
[queue]
enable = false
[secretstore]
enabled_secretstore_plugins = store_crypto
[crypto]
enabled_crypto_plugins = simple_crypto
[simple_crypto_plugin]
kek = {kek}
[keystone_authtoken]
www_authenticate_uri = {keystone}
{login}
"""


@contextlib.contextmanager
def started(folder: Path, keystone: KeystoneServer, user: str) -> Iterator[str]:
    """Barbican, in the catalog as `key-manager`; gives its URL. `user` is a service user."""
    venv = peer_venv.make("barbican", *PACKAGES)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    conf = CONF.format(
        folder=folder, port=port, keystone=keystone.url, login=login(keystone, user),
        kek=base64.urlsafe_b64encode(os.urandom(32)).decode(),
    )  # fmt: skip
    # Its crypto plugins read the configuration again, from oslo's places in the home folder alone.
    for path in (folder / "barbican.conf", folder / ".barbican" / "barbican.conf"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(conf)
    paste = (venv / "etc" / "barbican" / "barbican-api-paste.ini").read_text()
    lines = [
        "/v1: barbican-api-keystone" if line.startswith("/v1:") else line
        for line in paste.splitlines()
    ]
    (folder / "paste.ini").write_text("\n".join(lines))
    # One request at a time: on SQLite it fails where two transactions read and then write.
    command = [
        *peer_process.ALONG, venv / "bin" / "gunicorn", "--no-control-socket", "--chdir", INSIDE,
        "-w", "1", "-b", f"127.0.0.1:{port}", "barbican_app:application",
    ]  # fmt: skip
    with peer_process.running(
        command,
        folder / "stdout.log",
        lambda: peer_process.answers(url, 200, 300),
        environment={"HOME": str(folder), "BARBICAN_FOLDER": str(folder)},
    ):
        keystone.register("key-manager", url)
        yield url
