"""A mirror of publishers on this machine: the families that ship, with keys and lists of their own.

Each publisher is a folder named by its host, so that `[catalog] mirror_map` leads the entries that
ship here unchanged; only the keys are the test's. `odd` says what is answered instead of a file.
"""

import contextlib
import dataclasses
import datetime
import functools
import hashlib
import lzma
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pysequoia
from pysequoia import SignatureMode, Tsk

from tests import poll, web_server
from tests.web_server import answer

Sign = Callable[[bytes], bytes]


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a publisher lays a build out; `{b}` is the build. `signature` names a file, is `inline`,
    or is of the image if it ends so; `key` is the id of the entry's key."""

    base: str
    image: str
    sums: str
    grammar: str = "gnu"
    folder: str = ""
    algorithm: str = "sha256"
    signature: str = ""
    key: str = ""
    is_packed: bool = False


LAYOUTS: Mapping[str, Layout] = {
    "debian-13-x86_64": Layout(
        "cloud.debian.org/images/cloud/trixie/", "debian-13-genericcloud-amd64-{b}.qcow2",
        "SHA512SUMS", folder="{b}/", algorithm="sha512",
    ),
    "debian-12-x86_64": Layout(
        "cloud.debian.org/images/cloud/bookworm/", "debian-12-genericcloud-amd64-{b}.qcow2",
        "SHA512SUMS", folder="{b}/", algorithm="sha512",
    ),
    "ubuntu-24.04-x86_64": Layout(
        "cloud-images.ubuntu.com/releases/noble/", "ubuntu-24.04-server-cloudimg-amd64.img",
        "SHA256SUMS", folder="release-{b}/", grammar="star", signature="SHA256SUMS.gpg",
        key="ubuntu-cloud",
    ),
    "fedora-43-x86_64": Layout(
        "download.fedoraproject.org/pub/fedora/linux/releases/43/Cloud/x86_64/images/",
        "Fedora-Cloud-Base-Generic-43-{b}.x86_64.qcow2", "Fedora-Cloud-43-{b}-x86_64-CHECKSUM",
        grammar="bsd", signature="inline", key="fedora-43",
    ),
    "rocky-9-x86_64": Layout(
        "download.rockylinux.org/pub/rocky/9/images/x86_64/",
        "Rocky-9-GenericCloud-Base-{b}.x86_64.qcow2", "CHECKSUM", grammar="bsd",
        signature="CHECKSUM.asc", key="rocky-9",
    ),
    "centos-stream-9-x86_64": Layout(
        "cloud.centos.org/centos/9-stream/x86_64/images/",
        "CentOS-Stream-GenericCloud-9-{b}.x86_64.qcow2", "CHECKSUM", grammar="bsd",
    ),
    "arch-x86_64": Layout(
        "geo.mirror.pkgbuild.com/images/", "Arch-Linux-x86_64-cloudimg.qcow2", "{i}.SHA256",
        folder="v{b}/", signature="{i}.SHA256.sig", key="arch-boxes",
    ),
    "flatcar-stable-x86_64": Layout(
        "stable.release.flatcar-linux.net/amd64-usr/", "flatcar_production_openstack_image.img",
        "{i}.DIGESTS", folder="{b}/", grammar="digests", algorithm="sha512",
        signature="{i}.DIGESTS.asc", key="flatcar",
    ),
    "freebsd-14-x86_64": Layout(
        "download.freebsd.org/releases/VM-IMAGES/",
        "FreeBSD-{b}-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz", "CHECKSUM.SHA512",
        folder="{b}-RELEASE/amd64/Latest/", grammar="bsd", algorithm="sha512", is_packed=True,
    ),
    "openeuler-24.03-x86_64": Layout(
        "repo.openeuler.org/openEuler-24.03-LTS/virtual_machine_img/x86_64/",
        "openEuler-24.03-LTS-x86_64.qcow2.xz", "{i}.sha256sum", is_packed=True,
    ),
    "opensuse-leap-15.6-x86_64": Layout(
        "download.opensuse.org/distribution/leap/15.6/appliances/",
        "openSUSE-Leap-15.6-Minimal-VM.x86_64-Cloud.qcow2", "{i}.sha256",
        signature="{i}.sha256.asc", key="opensuse-leap",
    ),
    # Of the operator's own, see `OWN`.
    "acme-1": Layout(
        "images.acme.example/", "acme-{b}.qcow2", "SHA256SUMS", signature="{i}.sig", key="acme"
    ),
}  # fmt: skip
OWN = """\
families:
  - id: acme-1
    title: Acme 1
    os: {distro: acme, version: "1", arch: x86_64, platform: Acme}
    source:
      kind: checksum-index
      trust: signed
      base: https://images.acme.example/
      image: "acme-{int}.qcow2"
      checksums: {file: SHA256SUMS, grammar: gnu}
      signature: {image: "{image}.sig", keys: [acme]}
    image: {format: qcow2}
"""


class Mirror:
    """The server. `files` are by path; `sent` are the paths that were asked for, and body bytes."""

    def __init__(self, operator: Path) -> None:
        self.operator = operator
        self.key = Tsk.generate("Publisher <publisher@example.org>")
        self.files: dict[str, bytes] = {}
        self.odd: dict[str, Callable[[socket.socket], None]] = {}
        self.sent: list[tuple[str, int]] = []
        self._server = web_server.WebServer(self._answer)

    def close(self) -> None:
        self._server.close()

    @property
    def lines(self) -> str:
        """The value of `[catalog] mirror_map`."""
        hosts = sorted({one.base.partition("/")[0] for one in LAYOUTS.values()})
        return ", ".join(f"https://{host}/ -> {self._server.url(f'/{host}/')}" for host in hosts)

    def url(self, path: str) -> str:
        return self._server.url(path)

    def trust(self, *certs: bytes, fingerprints: tuple[str, ...] = (), more: str = "") -> None:
        """Write the operator's file: the keys of all publishers, and what is off as it ships."""
        own = self.key.extract_certificate()
        pinned = [own.fingerprint.upper(), *fingerprints]
        (self.operator / "keys").mkdir(parents=True, exist_ok=True)
        lines = ["schema: 1", OWN.rstrip(), "keys:"]
        for name in sorted({one.key for one in LAYOUTS.values() if one.key}):
            (self.operator / "keys" / f"{name}.asc").write_bytes(b"".join([bytes(own), *certs]))
            lines.append(f"  - {{id: {name}, file: keys/{name}.asc, fingerprints: {pinned}}}")
        lines += ["switches:"]
        lines += [f"  - {{id: {name}, enabled: true}}" for name in LAYOUTS if name != "acme-1"]
        (self.operator / "own.yaml").write_text("\n".join(lines) + "\n" + more)

    def path(self, family: str, build: str, name: str = "{i}") -> str:
        """Where a file of a build is: the image, or what stands beside it."""
        one = LAYOUTS[family]
        image = one.image.format(b=build)
        return f"/{one.base}{one.folder}{name}".format(b=build, i=image)

    def sums_path(self, family: str, build: str) -> str:
        return self.path(family, build, LAYOUTS[family].sums)

    def signature_path(self, family: str, build: str) -> str:
        return self.path(family, build, LAYOUTS[family].signature)

    def put(
        self, family: str, build: str, data: bytes | None = None, sign: Sign | None = None
    ) -> bytes:
        """Publish a build; its bytes."""
        one = LAYOUTS[family]
        if data is None:
            data = disk(f"{family} {build}")
            data = lzma.compress(data) if one.is_packed else data
        self.files[self.path(family, build)] = data
        self.write_sums(family, build, sign)
        return data

    def write_sums(self, family: str, build: str, sign: Sign | None = None) -> None:
        """Write the list anew, of all images of its folder, and sign it."""
        one, sign = LAYOUTS[family], sign or self.sign
        path = self.sums_path(family, build)
        folder = path.rpartition("/")[0] + "/"
        images = [
            name for name in self.files
            if name.startswith(folder) and name.endswith((".qcow2", ".img", ".xz"))
        ]  # fmt: skip
        found = {name.removeprefix(folder): self.files[name] for name in sorted(images)}
        text = _sums(found, one.grammar, one.algorithm)
        self.files[path] = self.clear(text) if one.signature == "inline" else text
        if one.signature not in ("", "inline"):
            is_of_image = one.signature == "{i}.sig" and one.sums == "SHA256SUMS"
            signed = self.files[self.path(family, build)] if is_of_image else text
            self.files[self.signature_path(family, build)] = sign(signed)

    def sign(self, data: bytes) -> bytes:
        """A signature by the publisher, beside the bytes."""
        return pysequoia.sign(self.key.signer(), data, mode=SignatureMode.DETACHED)

    def clear(self, data: bytes) -> bytes:
        """A clear-signed text by the publisher."""
        return pysequoia.sign(self.key.signer(), data, mode=SignatureMode.CLEAR)

    def asked(self) -> list[tuple[str, int]]:
        """What was asked for since the last call."""
        found, self.sent = self.sent, []
        return found

    def _answer(self, head: bytes, connection: socket.socket) -> None:
        path = head.split(b" ", 2)[1].decode()
        body = self.files.get(path)
        if path in self.odd:
            self.sent.append((path, 0))
            self.odd[path](connection)
        elif body is not None:
            self.sent.append((path, len(body)))
            connection.sendall(answer(body))
        elif path.endswith("/") and any(name.startswith(path) for name in self.files):
            page = self._index(path)
            self.sent.append((path, len(page)))
            connection.sendall(answer(page, "Content-Type: text/html"))
        else:
            self.sent.append((path, 0))
            connection.sendall(answer(b"not here", status="404 Not Found"))

    def _index(self, path: str) -> bytes:
        below = [name.removeprefix(path) for name in self.files if name.startswith(path)]
        names = {name.partition("/")[0] + "/" * ("/" in name) for name in below}
        links = "".join(f'<a href="{name}">{name}</a>\n' for name in sorted(names))
        return f'<html><a href="../">up</a>\n<a href="?C=M">date</a>\n{links}</html>'.encode()


@contextlib.contextmanager
def serving(operator: Path) -> Iterator[Mirror]:
    """A mirror for the time of a block; `operator` is the folder of the operator's entries."""
    mirror = Mirror(operator)
    try:
        mirror.trust()
        yield mirror
    finally:
        mirror.close()


class Gnupg:
    """A key of GnuPG, for signatures of other times and of weak hashes."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._run("--passphrase", "", "--quick-gen-key", "Old <old@example.org>", "rsa2048",
                  "sign", "never", at="20250101T000000")  # fmt: skip
        self.certificate = self._run("--export")
        (cert,) = pysequoia.Cert.split_bytes(self.certificate)
        self.fingerprint = cert.fingerprint.upper()

    def sign(self, data: bytes, *, at: str = "20260301T000000", digest: str = "SHA512") -> bytes:
        """A signature of that moment, beside the bytes."""
        return self._run("--digest-algo", digest, "--detach-sign", at=at, data=data)

    def secret_key(self) -> bytes:
        """The key with its secret part, which no password protects."""
        return self._run("--export-secret-keys")

    def _run(self, *words: str, at: str = "20260301T000000", data: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", self._home, "--batch", "--quiet", "--faked-system-time", at]
        return subprocess.run([*argv, *words], input=data, capture_output=True, check=True).stdout


@contextlib.contextmanager
def gnupg() -> Iterator[Gnupg]:
    """A key for the time of a block; its agent ends with it."""
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        try:
            yield Gnupg(home)
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


def until_expired(cert: pysequoia.Cert) -> None:
    """Until the key of a certificate has expired; those for 62 s are made a minute back."""
    poll.until(lambda: cert.expiration < datetime.datetime.now(datetime.UTC), pause_s=0.1)


@functools.cache
def disk(text: str) -> bytes:
    """A small qcow2 that holds a text."""
    with tempfile.TemporaryDirectory() as folder:
        raw, made = Path(folder, "raw"), Path(folder, "qcow2")
        raw.write_bytes(text.encode().ljust(1 << 20, b"\0"))
        argv = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(made)]
        subprocess.run(argv, check=True)
        return made.read_bytes()


def _sums(found: Mapping[str, bytes], grammar: str, algorithm: str) -> bytes:
    lines = []
    for name, data in found.items():
        value = hashlib.new(algorithm, data).hexdigest()
        if grammar == "bsd":
            lines += [f"# {name}: {len(data)} bytes", f"{algorithm.upper()} ({name}) = {value}"]
        elif grammar == "digests":
            md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
            lines += [
                "# MD5 HASH",
                f"{md5}  {name}",
                f"# {algorithm.upper()} HASH",
                f"{value}  {name}",
            ]
        else:
            lines.append(f"{value} {'*' if grammar == 'star' else ' '}{name}")
    return ("\n".join(lines) + "\n").encode()
