"""The peer nginx: static files by sendfile, two processes."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import running


@contextlib.contextmanager
def nginx() -> Iterator[running.Party]:
    """Serve what `put` lays into its folder."""
    folder = Path(tempfile.mkdtemp(prefix="imagesvc-nginx-"))
    folder.chmod(0o755)
    port = running.free_port()
    conf = folder / "nginx.conf"
    conf.write_text(
        f"worker_processes 2; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { worker_connections 1024; }\n"
        "http { access_log off; sendfile on; keepalive_requests 1000000; "
        f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; "
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
    )
    (folder / "up").write_text("up")
    (folder / "up").chmod(0o644)
    party = running.Party(folder, port, subprocess.Popen(["/usr/sbin/nginx", "-c", conf]))
    try:
        running.wait_for(lambda: party.call("GET", "/up"))
        yield party
    finally:
        party.stop()


def put(party: running.Party, path: Path) -> str:
    """Lay a file into the folder, without a copy where the file system allows; its URL path."""
    target = party.folder / path.name
    if target.exists():
        return f"/{path.name}"
    if path.stat().st_dev == party.folder.stat().st_dev:
        os.link(path, target)
    else:
        shutil.copy(path, target)
    target.chmod(0o644)
    return f"/{path.name}"
