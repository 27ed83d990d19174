"""One function fetches what users name; every other use of the network has a reason here."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NETWORK = frozenset(
    {
        "aiohttp", "asyncio", "ftplib", "http.client", "httpx", "pycurl", "requests", "smtplib",
        "socket", "socketserver", "ssl", "urllib.request", "urllib3",
    }
)  # fmt: skip
HOST = "reads this machine's own name"
OPERATOR = "speaks to a server that the operator names"
ALLOWED = {
    "imagesvc/stream/fetch_hop.py": "the one connection to a host that a user named",
    "imagesvc/stream/fetch_address.py": "resolves the name of such a host",
    "imagesvc/stream/fetch_pace.py": "the clock of that connection",
    "imagesvc/worker/reaper.py": HOST,
    "imagesvc/worker/outbox.py": HOST,
    "imagesvc/worker/seal.py": HOST,
    "imagesvc/cmd/worker.py": HOST,
    "imagesvc/api/pace.py": "watches connections that clients opened",
    "imagesvc/cmd/gunicorn_worker.py": "watches connections that clients opened",
    "imagesvc/stream/nbd.py": "a unix socket that serves an image into the sandbox",
    "imagesvc_drivers/client/nbd.py": "a unix socket of a tool in the sandbox",
    "imagesvc/stream/peer_link.py": OPERATOR,
    "imagesvc_drivers/encryption/vault_client.py": OPERATOR,
    "imagesvc_drivers/client/openstack_fault.py": OPERATOR,
    "imagesvc_drivers/client/paced_session.py": OPERATOR,
    "imagesvc_drivers/identity/keystone_client.py": OPERATOR,
    "imagesvc_drivers/storage/s3/fault.py": OPERATOR,
    "imagesvc/shell/client.py": "the command-line client: runs at the user, not in the service",
    "imagesvc/shell/tus.py": "the command-line client: runs at the user, not in the service",
    "imagesvc/testing/conformance/storage_capability.py": "tests a store's own signed URL",
    "imagesvc_drivers/compute/qemu/console.py": "a unix socket of the driver's own guest",
    "imagesvc_drivers/compute/qemu/monitor.py": "a unix socket of the driver's own guest",
    "imagesvc_drivers/compute/qemu/backup_job.py": "a unix socket of the driver's own guest",
    "imagesvc_drivers/compute/qemu/guest_agent.py": "a unix socket of the driver's own guest",
    "imagesvc_drivers/compute/qemu/attach.py": "a unix socket of the driver's own guest",
    "imagesvc_drivers/client/image_fetch.py": "reads the service's own signed URLs",
    "imagesvc_drivers/converter/guest/view.py": "a unix socket of the service, from inside the sandbox",
    "imagesvc_drivers/audit_sink/webhook.py": "posts to the URL in the operator's configuration",
    "imagesvc_drivers/audit_sink/syslog.py": "sends to the operator's log server",
}


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def uses_network(name: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in NETWORK)


def test_no_other_module_opens_connections() -> None:
    using = {
        str(path.relative_to(ROOT))
        for top in ("imagesvc", "imagesvc_drivers")
        for path in (ROOT / top).rglob("*.py")
        if any(uses_network(name) for name in imported(path))
    }
    assert using - ALLOWED.keys() == set(), "fetch by imagesvc.stream.fetch.open_url"
    assert ALLOWED.keys() - using == set(), "these need no reason any more"
