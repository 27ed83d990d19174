"""A service for benchmarks: own state folder, API processes alone, a token."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path


class Running:
    """A running API: its address, a token of a member, its folder and process."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen) -> None:
        self.folder = folder
        self.port = port
        self.process = process
        self.token = ""

    def cpu_s(self) -> float:
        """CPU seconds of the API's processes so far."""
        return process_tree_cpu_s(self.process.pid)

    def call(
        self, method: str, path: str, body: object = None, headers: dict | None = None
    ) -> tuple[int, dict, bytes]:
        """One JSON request; returns status, headers and body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=data, method=method
        )
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("X-Auth-Token", self.token)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()


def process_tree_cpu_s(root: int) -> float:
    """CPU seconds of a process and its living descendants."""
    parents: dict[int, list[int]] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(entry.name)
        parents.setdefault(int(fields[1]), []).append(pid)
        used[pid] = int(fields[11]) + int(fields[12])
    todo, total = [root], 0
    while todo:
        pid = todo.pop()
        total += used.get(pid, 0)
        todo += parents.get(pid, [])
    return total / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(check, deadline_s: float = 60.0) -> None:
    """Call `check` until it does not raise OSError."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            check()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def service() -> Iterator[Running]:
    """Start the API on a fresh state folder; stop and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="imagesvc-bench-"))
    port = free_port()
    binaries = Path(sys.executable).parent
    conf = folder / "imagesvc.conf"
    conf.write_text(
        f"[service]\nstate_dir = {folder}\nbind_port = {port}\nworkers = 2\n"
        f"[database]\nurl = sqlite:///{folder}/imagesvc.sqlite\n"
        f"[storage_local]\ndirectory = {folder}/store\n"
        f"[identity_local]\npath = {folder}/identity.sqlite\n"
        f"[audit_sink_local]\npath = {folder}/audit.jsonl\n"
        f"[compute]\nenabled_backends =\n"
    )
    environment = {**os.environ, "IMAGESVC_CONF": str(conf)}

    def manage(*words: str, secret: str = "") -> None:
        subprocess.run(
            [binaries / "imagesvc-manage", *words],
            env=environment,
            input=secret.encode(),
            check=True,
            stdout=subprocess.DEVNULL,
        )

    manage("db", "upgrade")
    manage("identity", "project", "create", "bench")
    manage("identity", "user", "create", "bench", secret="bench-password")
    manage("identity", "grant", "bench", "bench", "member")
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [binaries / "imagesvc-api"], env=environment, cwd=folder, stdout=log, stderr=log
        )
    running = Running(folder, port, process)
    try:
        wait_for(lambda: running.call("GET", "/healthcheck"))
        running.token = _token(running)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(folder)


def _token(running: Running) -> str:
    user = {"name": "bench", "password": "bench-password", "domain": {"id": "default"}}
    scope = {"project": {"name": "bench", "domain": {"id": "default"}}}
    identity = {"methods": ["password"], "password": {"user": user}}
    _, headers, _ = running.call(
        "POST", "/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}}
    )
    return {name.lower(): value for name, value in headers.items()}["x-subject-token"]
