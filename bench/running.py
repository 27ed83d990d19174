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

from tests import s3_server


class Party:
    """A running server: its address, the headers of each request, its folder and process."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen) -> None:
        self.folder = folder
        self.port = port
        self.process = process
        self.headers: dict[str, str] = {}
        self.project_id = ""

    def cpu_s(self) -> float:
        """CPU seconds of the server's processes so far."""
        return process_tree_cpu_s(self.process.pid)

    def bytes_read(self) -> int:
        """What its processes have read from files so far: proc(5), rchar."""
        found = [Path(f"/proc/{pid}/io").read_text() for pid in process_tree(self.process.pid)]
        return sum(int(one.split()[1]) for one in found)

    def peak_mib(self) -> float:
        """Most memory that one of its processes has held since `forget_peak`, in MiB."""
        return max(_peak_kib(pid) for pid in process_tree(self.process.pid)) / 1024

    def forget_peak(self) -> None:
        """Begin to look for the peak anew: a login alone takes 32 MiB for a moment."""
        for pid in process_tree(self.process.pid):
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def call(
        self, method: str, path: str, body: object = None, headers: dict | None = None
    ) -> tuple[int, dict, bytes]:
        """One JSON request; returns status, headers and body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=data, method=method
        )
        request.add_header("Content-Type", "application/json")
        for name, value in {**self.headers, **(headers or {})}.items():
            request.add_header(name, value)
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()

    def stop(self) -> None:
        """End it and remove its folder."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.folder)


def process_tree(root: int) -> dict[int, float]:
    """The CPU seconds of a process and of its living descendants, by id."""
    parents: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(entry.name)
        parents.setdefault(int(fields[1]), []).append(pid)
        used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    todo, found = [root], {}
    while todo:
        pid = todo.pop()
        found[pid] = used.get(pid, 0.0)
        todo += parents.get(pid, [])
    return found


def process_tree_cpu_s(root: int) -> float:
    """CPU seconds of a process and its living descendants."""
    return sum(process_tree(root).values())


def _peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


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


def _s3(place: s3_server.Place) -> str:
    return (
        "[storage]\nenabled_backends = main:s3\n[storage_main]\n"
        f"endpoint_urls = {','.join(place.endpoints)}\nbucket = {place.bucket}\n"
        f"access_key = {s3_server.KEY}\nsecret_key = {s3_server.SECRET}\n"
    )


@contextlib.contextmanager
def service(
    url: str = "",
    settings: str = "",
    place: s3_server.Place | None = None,
    *,
    fetch_port: int | None = None,
) -> Iterator[Party]:
    """Start the API on a fresh state folder; stop and remove it afterwards.

    `url` is that of an empty database, SQLite without; `settings` are lines of `[service]`.
    Bytes lie in files, or in S3 at `place`. With `fetch_port` a worker runs beside it, which may
    fetch from that port of this machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="imagesvc-bench-"))
    port = free_port()
    binaries = Path(sys.executable).parent
    conf = folder / "imagesvc.conf"
    store = _s3(place) if place else f"[storage_local]\ndirectory = {folder}/store\n"
    conf.write_text(
        f"[service]\nstate_dir = {folder}\nbind_port = {port}\nworkers = 2\n{settings}\n"
        f"[database]\nurl = {url or f'sqlite:///{folder}/imagesvc.sqlite'}\n"
        f"{store}"
        f"[identity_local]\npath = {folder}/identity.sqlite\n"
        f"[audit_sink_local]\npath = {folder}/audit.jsonl\n"
        f"[compute]\nenabled_backends =\n"
        f"[fetch]\nallowed_networks = 127.0.0.1/32\nallowed_ports = {fetch_port or 80}\n"
        "[worker]\npoll_interval_s = 0.1\n"
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
    running = Party(folder, port, process)
    try:
        wait_for(lambda: running.call("GET", "/healthcheck"))
        _log_in(running)
        with _worker(running, environment) if fetch_port else contextlib.nullcontext():
            yield running
    finally:
        running.stop()


@contextlib.contextmanager
def _worker(running: Party, environment: dict[str, str]) -> Iterator[None]:
    binary = Path(sys.executable).parent / "imagesvc-worker"
    with (running.folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [binary], env=environment, cwd=running.folder, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _log_in(running: Party) -> None:
    user = {"name": "bench", "password": "bench-password", "domain": {"id": "default"}}
    scope = {"project": {"name": "bench", "domain": {"id": "default"}}}
    identity = {"methods": ["password"], "password": {"user": user}}
    _, headers, body = running.call(
        "POST", "/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}}
    )
    sent = {name.lower(): value for name, value in headers.items()}
    running.headers = {"X-Auth-Token": sent["x-subject-token"]}
    running.project_id = json.loads(body)["token"]["project"]["id"]
