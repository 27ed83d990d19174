"""A running service in a folder of its own, spoken to by real clients in processes of their own."""

import atexit
import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.command_server import CommandServer

START_S = 60.0
STOP_S = 90.0
USERS = (("admin", "admin"), ("demo", "member"), ("other", "member"))
BIN = Path(sys.executable).parent
SERVER = CommandServer()
atexit.register(SERVER.stop)

CONF = """
[service]
state_dir = {folder}
bind_port = {port}
workers = 1
threads = {threads}
[worker]
poll_interval_s = 0.3
reap_interval_s = 1
[database]
url = sqlite:///{folder}/imagesvc.sqlite
[storage_local]
directory = {folder}/store
[compute_local]
state_dir = {folder}/compute
accelerator = tcg
[identity_local]
path = {folder}/identity.sqlite
[audit_sink_local]
path = {folder}/audit.jsonl
{more}
"""

CLOUD = """
  {name}:
    auth_type: v3password
    auth:
      auth_url: http://127.0.0.1:{port}/v3
      username: {name}
      password: pw-{name}
      user_domain_id: default
      project_name: {name}
      project_domain_id: default
    region_name: RegionOne
    identity_api_version: 3
    image_api_version: 2
"""


@dataclasses.dataclass
class RunningService:
    """API and worker under the supervisor, and the commands that reach them."""

    folder: Path
    port: int
    supervisor: subprocess.Popen
    calls: set = dataclasses.field(default_factory=set, kw_only=True)

    @property
    def environment(self):
        """What the clients find the service by."""
        clouds = str(self.folder / "clouds.yaml")
        more = {"OS_CLIENT_CONFIG_FILE": clouds, "no_proxy": "127.0.0.1", "HOME": str(self.folder)}
        return os.environ | more

    def run(self, *args, check=True, stdin=None):
        """Run a command, which `calls` remembers; it fails the test with its own words."""
        self.calls.add(tuple(map(str, args)))
        done = run([find(args[0]), *map(str, args[1:])], self.environment, stdin)
        if check:
            assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done

    def openstack(self, *args, cloud="demo", check=True):
        """The unmodified `openstack` command; its text."""
        return self.run("openstack", "--os-cloud", cloud, *args, check=check).stdout.decode()

    def imagesvc(self, *args, cloud="demo", check=True):
        """Our own command; its text."""
        return self.run("imagesvc", "--os-cloud", cloud, *args, check=check).stdout.decode()

    def json(self, *args, cloud="demo", command="openstack"):
        """A command's answer as JSON."""
        return json.loads(self.run(command, "--os-cloud", cloud, *args, "-f", "json").stdout)


def run(command, environment=os.environ, stdin=None, *, timeout=120):
    """Run an installed command, in a fork of what has imported it where that is free."""
    with contextlib.ExitStack() as stack:
        stdin = stdin or stack.enter_context(open(os.devnull, "rb"))
        if SERVER.takes(Path(command[0]).name):
            return SERVER.run(command, env=environment, stdin=stdin, timeout=timeout)
        return subprocess.run(
            command, capture_output=True, env=environment, stdin=stdin, timeout=timeout, check=False
        )


@contextlib.contextmanager
def terminal():
    """A terminal to read from, at which nobody types."""
    ours, theirs = os.openpty()
    try:
        with open(theirs, "rb") as opened:
            yield opened
    finally:
        os.close(ours)


def find(command):
    """A command of the tests' own environment, or of the system."""
    own = BIN / command
    return str(own if own.exists() else command)


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def manage(folder, *args, text=""):
    """Run imagesvc-manage."""
    command = [str(BIN / "imagesvc-manage"), "--config-file", str(folder / "imagesvc.conf"), *args]
    with tempfile.TemporaryFile() as stdin:
        stdin.write(text.encode())
        stdin.seek(0)
        done = run(command, stdin=stdin, timeout=60)
    assert done.returncode == 0, (args, done.stdout, done.stderr)
    return done.stdout.decode()


def wait_ready(service):
    """Until it says that it is ready."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        words = (service.folder / "log").read_text()[-4000:]
        assert service.supervisor.poll() is None, words
        try:
            url = f"http://127.0.0.1:{service.port}/healthcheck/ready"
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"the service did not get ready: {words}")


@contextlib.contextmanager
def started(folder, *, threads=16, more=""):
    """A service in a folder, with more sections in its configuration; its servers end with it."""
    port = free_port()
    (folder / "imagesvc.conf").write_text(
        CONF.format(folder=folder, port=port, threads=threads, more=more)
    )
    clouds = "clouds:" + "".join(CLOUD.format(name=name, port=port) for name, _ in USERS)
    (folder / "clouds.yaml").write_text(clouds)
    manage(folder, "db", "upgrade")
    for name, role in USERS:
        manage(folder, "identity", "grant", "--create", name, name, role, text=f"pw-{name}")
    with (folder / "log").open("wb") as log:
        command = [str(BIN / "imagesvc-supervisor"), "--config-file", str(folder / "imagesvc.conf")]
        supervisor = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    service = RunningService(folder, port, supervisor)
    try:
        wait_ready(service)
        yield service
    finally:
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait(STOP_S)
        manage(folder, "server", "stop")


@pytest.fixture(scope="session")
def running_service(tmp_path_factory):
    """Started once a test process; one bare-metal node is a file in its folder."""
    folder = tmp_path_factory.mktemp("running")
    disk = folder / "node.raw"
    disk.write_bytes(bytes(3 << 20))
    with started(folder, more=f"[baremetal_local]\nnodes = bench-1:{disk}\n") as service:
        yield service


@pytest.fixture(scope="session")
def raw_image(tmp_path_factory):
    """A file of 3 MiB and a bit that no two sectors of are alike."""
    path = tmp_path_factory.mktemp("image") / "data.raw"
    path.write_bytes(os.urandom(3 * 1024 * 1024 + 512))
    return path


@pytest.fixture
def data():
    """Bytes of an image, no two alike."""
    return os.urandom(300_000)


@pytest.fixture
def file(tmp_path, data):
    """A file of them."""
    path = tmp_path / "disk.raw"
    path.write_bytes(data)
    return path
