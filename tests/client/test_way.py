"""Every way from a source to an image and on to a target, through the commands and on real guests.

`docs/operator/way.rst` tells of the same sources and targets, and of tests in each run. A disk bears a mark, which the guest
that boots from it, or has it as its second disk, says on its console.
"""

import contextlib
import subprocess
import types
import uuid

import pytest

from tests import ova, s3_server
from tests.client.conftest import started
from tests.client.test_imagesvc_command import TOOL, wait_console
from tests.ova import Part

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("way")]  # one service for all

BUCKET = "ways"
MARK = b"way\0"
MARK_OFFSET = 1040
MIB = 1 << 20
FETCH = "[fetch]\nallowed_ports = 443,{port}\nallowed_networks = 127.0.0.1/32\n"


class Bench:
    """A service with all kinds of backends and a bucket, and the images that were made on it.

    `key_id` is one under which all of them are encrypted.
    """

    def __init__(self, service, folder, place, key_id=None):
        self.key_id = key_id
        self.key = () if key_id is None else ("--key", key_id)
        self.place = place
        self.service = service
        self.folder = folder
        self.s3 = place.client()
        self.endpoint = place.endpoints[0]
        self.images = {}

    def name(self):
        """A fresh one."""
        return uuid.uuid4().hex

    def json(self, *words):
        """The answer of our own command."""
        return self.service.json(*words, command="imagesvc")

    def lay(self, data):
        """Put an object into the bucket; its key."""
        key = self.name()
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        return key

    def image(self, source):
        """The image of a source: its id, and which of its disks are there."""
        if source not in self.images:
            found = SOURCES[source](self)
            shown = self.json("image", "show", found)
            assert (shown["encrypted"], shown["key_id"]) == (bool(self.key), self.key_id)
            self.images[source] = types.SimpleNamespace(
                id=found, kind=shown["kind"], size=shown["disks"][0]["virtual_size_bytes"],
                disks=len(shown["disks"]),
            )  # fmt: skip
        return self.images[source]

    def servers(self, *words, count=1):
        """Servers; their ids."""
        words = ("server", "create", self.name(), *words, "--count", str(count), "--wait")
        return [one["ID"] for one in self.json(*words)]

    def capture(self, what, *words):
        """An image of it."""
        made = self.json(what, "capture", *words, "--name", self.name(), *self.key, "--wait")
        return made["image_id"]

    def bring(self, data, *words):
        """An image of an object in the bucket."""
        place = f"mine/{BUCKET}/{self.lay(data)}"
        words = ("image", "import", self.name(), "--object", place, *words, *self.key, "--wait")
        return self.json(*words)["image_id"]

    def stream(self):
        """The disk as hypervisors export it."""
        path = self.folder / "stream.vmdk"
        subprocess.run(
            ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized",
             str(self.disk), str(path)],
            check=True,
        )  # fmt: skip
        return path.read_bytes()


def of_file(bench):
    """Glance's upload of a file."""
    key = ("--property", f"imagesvc_key_id={bench.key_id}") if bench.key else ()
    return bench.service.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file",
        bench.disk, *key, bench.name(),
    )["id"]  # fmt: skip


def of_tus(bench):
    """A resumable upload."""
    words = ("image", "upload", bench.disk, "--disk-format", "raw", "--name", bench.name())
    return bench.json(*words, *bench.key, "--wait")["image_id"]


def of_bucket(bench):
    """An object of a bucket."""
    return bench.bring(bench.disk.read_bytes(), "--disk-format", "raw")


def of_url(bench):
    """A URL."""
    place = {"Bucket": BUCKET, "Key": bench.lay(bench.disk.read_bytes())}
    url = bench.s3.generate_presigned_url("get_object", place, 600)
    words = ("image", "import", bench.name(), "--url", url, "--disk-format", "raw", "--wait")
    return bench.json(*words, *bench.key)["image_id"]


def of_ova(bench):
    """A resumable upload of an OVA of one disk."""
    path = bench.folder / "machine.ova"
    path.write_bytes(ova.packed(ova.machine(Part("a.vmdk")), {"a.vmdk": bench.stream()}))
    words = ("image", "upload", path, "--disk-format", "qcow2", "--source-format", "ova")
    return bench.json(*words, "--name", bench.name(), *bench.key, "--wait")["image_id"]


def of_ova_of_several(bench):
    """An object of a bucket that is an OVA of two disks."""
    text, disk = ova.machine(Part("b.vmdk", 1), Part("a.vmdk", 0)), bench.stream()
    data = ova.packed(text, {"b.vmdk": disk, "a.vmdk": disk})
    return bench.bring(data, "--disk-format", "ova", "--to", "raw")


def of_running(bench):
    """The system disk of a server that runs."""
    (server,) = bench.servers("--image", bench.image("file").id)
    wait_console(bench.service, server, "marker=way")
    return bench.capture("server", server)


def of_stopped(bench):
    """That of one that is stopped."""
    (server,) = bench.servers("--image", bench.image("file").id)
    bench.service.imagesvc("server", "stop", server)
    return bench.capture("server", server)


def of_data_disk(bench):
    """A data disk of a server."""
    image = bench.image("file").id
    (server,) = bench.servers("--image", image, "--data-disk", f"image={image}")
    return bench.capture("server", server, "--disk", "disk1")


def of_whole(bench):
    """All disks of a server at one instant."""
    image = bench.image("file").id
    (server,) = bench.servers("--image", image, "--data-disk", f"image={image}")
    return bench.capture("server", server, "--whole")


def of_backup(bench):
    """A backup of a server with two disks, which is gone by then."""
    image, name = bench.image("file").id, bench.name()
    (server,) = bench.servers("--image", image, "--data-disk", f"image={image}")
    bench.json("backup", "create", server, "--name", name, "--wait")
    bench.service.imagesvc("server", "delete", server)
    return bench.capture("backup", name)


def of_volume(bench):
    """A volume."""
    words = ("volume", "create", bench.name(), "--image", bench.image("file").id, "--wait")
    (made,) = bench.json(*words)
    return bench.capture("volume", made["ID"], "--kind", "data-disk")


def of_node(bench):
    """The disk of a node."""
    bench.json("node", "deploy", "small", "--image", bench.image("file").id, "--wait")
    found = bench.capture("node", "small")
    bench.service.imagesvc("node", "undeploy", "small", "--wait")
    return found


def to_server(bench, image, count=1):
    """Servers that say the mark, on the first disk or on the second."""
    words = ("--image", image.id)
    if image.kind == "data-disk":
        words = ("--image", bench.image("file").id, "--data-disk", f"image={image.id}")
    second = "disk2=way" if image.kind != "system-disk" else "disk2="
    for server in bench.servers(*words, count=count):
        assert second in wait_console(bench.service, server, "marker=way")
        bench.service.imagesvc("server", "delete", server)


def to_servers(bench, image):
    """Several of one image."""
    to_server(bench, image, 3)


def to_volume(bench, image):
    """Volumes of each disk, which a guest reads as its second disk."""
    for disk in range(image.disks):
        words = ("volume", "create", bench.name(), "--image", image.id, "--disk", str(disk))
        (made,) = bench.json(*words, "--wait")
        (server,) = bench.servers("--image", bench.image("file").id)
        bench.service.imagesvc("server", "stop", server)
        bench.service.imagesvc("server", "volume", "attach", server, made["ID"])
        bench.service.imagesvc("server", "start", server)
        wait_console(bench.service, server, "disk2=way")
        bench.service.imagesvc("server", "delete", server)


def to_node(bench, image):
    """The disk of a machine, one disk of the image after the other."""
    node = "small" if image.size <= 9 * MIB else "large"
    for disk in range(image.disks):
        bench.json("node", "deploy", node, "--image", image.id, "--disk", str(disk), "--wait")
        with (bench.folder / f"{node}.raw").open("rb") as found:
            found.seek(MARK_OFFSET)
            assert found.read(4) == MARK
        bench.service.imagesvc("node", "undeploy", node, "--wait")


def to_bucket(bench, image):
    """An object a disk."""
    key = bench.name()
    words = ("image", "export", image.id, f"mine/{BUCKET}/{key}", "--to", "raw", "--wait")
    bench.json(*words)
    names = [key] if image.disks == 1 else [f"{key}/disk-{n}.raw" for n in range(image.disks)]
    for name in names:
        found = bench.s3.get_object(Bucket=BUCKET, Key=name, Range="bytes=1040-1043")
        assert found["Body"].read() == MARK


SOURCES = {
    "file": of_file,
    "resumable upload": of_tus,
    "bucket": of_bucket,
    "URL": of_url,
    "OVA of one disk": of_ova,
    "OVA of several disks": of_ova_of_several,
    "running server": of_running,
    "stopped server": of_stopped,
    "data disk of a server": of_data_disk,
    "whole server": of_whole,
    "backup of a server": of_backup,
    "volume": of_volume,
    "bare-metal node": of_node,
}
TARGETS = {
    "server": to_server,
    "servers": to_servers,
    "volume": to_volume,
    "bare metal": to_node,
    "bucket": to_bucket,
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory, s3_place):
    """Started when first asked."""
    folder = tmp_path_factory.mktemp("ways")
    client = s3_place.client()
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=BUCKET)
    (folder / "secret").write_text(f"{s3_server.SECRET}\n")
    nodes = {"small": 9 * MIB, "large": (1 << 30) + MIB}
    for name, size in nodes.items():
        with (folder / f"{name}.raw").open("wb") as disk:
            disk.truncate(size)
    listed = ",".join(f"{name}:{folder}/{name}.raw" for name in nodes)
    port = s3_place.endpoints[0].rpartition(":")[2]
    more = f"{FETCH.format(port=port)}[baremetal_local]\nnodes = {listed}\n"
    with started(folder, more=more) as service:
        made = Bench(service, folder, s3_place)
        made.disk = folder / "disk.raw"
        service.run("bash", TOOL, "spark", made.disk)
        with made.disk.open("r+b") as disk:
            disk.seek(MARK_OFFSET)
            disk.write(MARK)
        made.json(
            "object-store", "create", "mine", "--endpoint", made.endpoint, "--access-key",
            s3_server.KEY, "--secret-key-file", folder / "secret", "--bucket", BUCKET,
        )  # fmt: skip
        yield made


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_way_is_open(bench, source, target):
    TARGETS[target](bench, bench.image(source))


@pytest.fixture(scope="module")
def sealed(bench):
    """The same service, whose images are encrypted."""
    key_id = bench.json("key", "create", "ways", "--default")["id"]
    made = Bench(bench.service, bench.folder, bench.place, key_id)
    made.disk = bench.disk
    return made


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *((source, "server") for source in SOURCES),
        *(("file", target) for target in list(TARGETS)[1:]),
    ],
)
def test_a_way_is_open_to_encrypted_images(sealed, source, target):
    TARGETS[target](sealed, sealed.image(source))
