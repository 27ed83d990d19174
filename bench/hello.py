"""A falcon application that only answers: the bound of what any answer costs."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon
import running


class Hello:
    """The one resource."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer."""
        resp.media = {"hello": "world"}


def application() -> Any:
    """What gunicorn loads."""
    app = falcon.App()
    app.add_route("/hello", Hello())
    return app


@contextlib.contextmanager
def hello(service: running.Party) -> Iterator[running.Party]:
    """Serve it by gunicorn with the settings, and so the worker class, of a running service."""
    folder = Path(tempfile.mkdtemp(prefix="imagesvc-hello-"))
    port = running.free_port()
    environment = {**os.environ, "IMAGESVC_CONF": str(service.folder / "imagesvc.conf")}
    command = [
        sys.executable, "-m", "gunicorn", "--config", "python:imagesvc.cmd.gunicorn_conf",
        "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "16",
        "--pythonpath", str(Path(__file__).parent), "hello:application()",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    party = running.Party(folder, port, process)
    try:
        running.wait_for(lambda: party.call("GET", "/hello"))
        yield party
    finally:
        party.stop()
