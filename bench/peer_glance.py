"""The peer Glance: installed once from PyPI, started with a file store under uwsgi.

Who calls is told by headers that it believes, so it checks no token. Its folder for the
installation is IMAGESVC_BENCH_DIR, or imagesvc-bench in the folder for temporary files.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import running
import sqlalchemy as sa

from tests import s3_server

PACKAGES = ("glance==33.0.0", "uwsgi", "psycopg2-binary", "boto3")
PROCESSES, THREADS = 2, 4
_MAPPED = "paste.composite_factory = glance.api:root_app_factory"
_PASTE = f"""
[composite:glance-api-bench]
{_MAPPED}
/: stack
/healthcheck: healthcheck

[pipeline:stack]
pipeline = cors http_proxy_to_wsgi versionnegotiation osprofiler context rootapp
"""


def install() -> Path:
    """The virtual environment of the peer, made if it is not there."""
    work = os.environ.get("IMAGESVC_BENCH_DIR") or Path(tempfile.gettempdir(), "imagesvc-bench")
    venv = Path(work) / "glance-33"
    ready = venv / "ready"
    if not ready.exists() or ready.read_text() != str(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "--quiet", *PACKAGES], check=True)
        ready.write_text(str(PACKAGES))
    return venv


def _s3(place: s3_server.Place) -> str:
    return (
        f"s3_store_host = {place.endpoints[0]}\ns3_store_access_key = {s3_server.KEY}\n"
        f"s3_store_secret_key = {s3_server.SECRET}\ns3_store_bucket = {place.bucket}\n"
        "s3_store_bucket_url_format = path\n"
    )


def _configure(
    venv: Path, folder: Path, port: int, url: str, settings: str, place: s3_server.Place | None
) -> Path:
    etc = folder / "etc"
    shutil.copytree(venv / "etc" / "glance", etc)
    with (etc / "glance-api-paste.ini").open("a", encoding="utf-8") as paste:
        paste.write(_PASTE)
    conf = etc / "glance-api.conf"
    database = sa.make_url(url).set(drivername="postgresql+psycopg2")
    conf.write_text(
        f"[DEFAULT]\nlog_file = {folder}/api.log\nenabled_backends = main:{'s3' if place else 'file'}\n"
        f"worker_self_reference_url = http://127.0.0.1:{port}\n{settings}\n"
        f"[database]\nconnection = {database.render_as_string(hide_password=False)}\n"
        f"[glance_store]\ndefault_backend = main\n[main]\n"
        f"{_s3(place) if place else f'filesystem_store_datadir = {folder}/store'}\n"
        f"[os_glance_staging_store]\nfilesystem_store_datadir = {folder}/staging\n"
        f"[os_glance_tasks_store]\nfilesystem_store_datadir = {folder}/tasks\n"
        f"[paste_deploy]\nconfig_file = {etc}/glance-api-paste.ini\nflavor = bench\n"
        "[oslo_policy]\nenforce_scope = false\n"
    )
    for name in ("store", "staging", "tasks"):
        (folder / name).mkdir()
    return conf


@contextlib.contextmanager
def glance(
    url: str, project_id: str, settings: str = "", place: s3_server.Place | None = None
) -> Iterator[running.Party]:
    """Run it on an empty PostgreSQL database; `settings` are lines of `[DEFAULT]`.

    Bytes lie in files, or in S3 at `place`.
    """
    venv = install()
    folder = Path(tempfile.mkdtemp(prefix="imagesvc-glance-"))
    port = running.free_port()
    conf = _configure(venv, folder, port, url, settings, place)
    environment = {**os.environ, "OS_GLANCE_CONFIG_DIR": str(conf.parent)}
    environment.pop("PYTHONPATH", None)
    with (folder / "start.log").open("wb") as log:
        manage = [venv / "bin" / "glance-manage", "--config-file", conf, "db_sync"]
        subprocess.run(manage, env=environment, stdout=log, stderr=log, check=True)
        process = subprocess.Popen(
            [
                venv / "bin" / "uwsgi", "--module", "glance.wsgi.api:application",
                "--http-socket", f"127.0.0.1:{port}", "--master", "--need-app", "--lazy-apps",
                "--processes", str(PROCESSES), "--threads", str(THREADS), "--enable-threads",
                "--thunder-lock", "--buffer-size", "65535", "--die-on-term", "--disable-logging",
                "--add-header", "Connection: close",
            ],
            env=environment, cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
    party = running.Party(folder, port, process)
    party.project_id = project_id
    party.headers = {
        "X-Identity-Status": "Confirmed",
        "X-User-Id": "bench",
        "X-Project-Id": project_id,
        "X-Roles": "member,reader",
    }
    try:
        running.wait_for(lambda: party.call("GET", "/v2/images?limit=1"), 120.0)
        yield party
    finally:
        party.stop()
