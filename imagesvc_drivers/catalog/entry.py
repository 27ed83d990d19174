"""The form of a catalog file; unknown keys are refused."""

import datetime
import ipaddress
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

_Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Fingerprint = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-F]{40}([0-9A-F]{24})?\Z")]
_File = Annotated[str, msgspec.Meta(pattern=r"^keys/[a-z0-9][a-z0-9._-]{0,63}\Z")]
_Mebibytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]
_PLACEHOLDER = re.compile(r"\{(date8|int|version|build|image)\}")
_PLAIN = re.compile(r"[A-Za-z0-9._+/-]*")


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Refuses what it does not know."""


class System(_Strict, frozen=True):
    """The system in the images; `platform` is its name for those who choose one."""

    distro: _Id
    version: _Text
    arch: Literal["x86_64", "aarch64"]
    platform: _Text
    type: Literal["Linux", "Windows", "Other"] = "Linux"
    purpose: _Id = "generic"
    login: _Text = "root"


class Checksums(_Strict, frozen=True):
    """The list of digests; `file` may have placeholders."""

    file: _Text
    grammar: Literal["gnu", "bsd", "digests", "single"]


class Signature(_Strict, frozen=True):
    """One of `detached`, `inline` and `image`, and the keys that may have signed."""

    keys: Annotated[list[_Id], msgspec.Meta(min_length=1)]
    detached: _Text | None = None
    inline: bool = False
    image: _Text | None = None

    def __post_init__(self) -> None:
        if (self.detached is not None) + self.inline + (self.image is not None) != 1:
            raise ValueError("a signature is one of detached, inline and image")


class Source(_Strict, frozen=True):
    """Where the bytes come from."""

    kind: Literal["checksum-index", "simplestreams", "registry", "pinned", "local"]
    trust: Literal["signed", "tls", "pinned", "local"]
    base: _Text | None = None
    builds: _Text | None = None
    image: _Text | None = None
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})\Z")] | None = None  # fmt: skip
    checksums: Checksums | None = None
    signature: Literal["none"] | Signature = "none"
    unpack: Literal["none", "xz", "gz", "bz2", "zst"] = "none"

    def __post_init__(self) -> None:
        if self.kind != "local" and self.base is None:
            raise ValueError("base is needed")
        if self.kind == "pinned" and (self.digest is None or self.image is None):
            raise ValueError("a pinned source needs image and digest")
        if self.kind == "checksum-index" and (self.checksums is None or self.image is None):
            raise ValueError("a checksum-index needs image and checksums")
        if (self.trust == "signed") != isinstance(self.signature, Signature):
            raise ValueError("trust is signed exactly where there is a signature")
        if self.base is not None:
            _check_url(self.base)
        for pattern in self._patterns():
            _check_pattern(pattern)

    def _patterns(self) -> list[str]:
        found = [self.builds, self.image]
        if self.checksums is not None:
            found.append(self.checksums.file)
        if isinstance(self.signature, Signature):
            found += [self.signature.detached, self.signature.image]
        return [one for one in found if one is not None]


class Image(_Strict, frozen=True):
    """What an image gets; `min_disk` is GiB or auto, `min_ram` MiB."""

    format: Literal["qcow2", "raw", "vhd", "vmdk", "iso"]
    min_disk: Literal["auto"] | _Mebibytes = "auto"
    min_ram: _Mebibytes = 512
    properties: dict[str, str] = {}


class Promise(_Strict, frozen=True):
    """How often a build comes, how many stay, until when."""

    replace: Literal["daily", "weekly", "monthly", "quarterly", "yearly", "never"] = "never"
    keep: Annotated[str, msgspec.Meta(pattern=r"^last-[1-9][0-9]{0,2}\Z")] = "last-3"
    until: datetime.date | None = None


class Family(_Strict, frozen=True):
    """One family; `note` is for operators."""

    id: _Id
    title: _Text
    os: System
    source: Source
    image: Image
    promise: Promise = msgspec.field(default_factory=Promise)
    channels: tuple[_Id, ...] = ("stable",)
    enabled: bool = True
    note: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class Key(_Strict, frozen=True):
    """A key of a publisher; no fingerprint means that it is not known here."""

    id: _Id
    file: _File
    fingerprints: list[_Fingerprint] = []


class Switch(_Strict, frozen=True):
    """Switches a family of the layer below on or off, and leaves the rest."""

    id: _Id
    enabled: bool


class Document(_Strict, frozen=True):
    """One file."""

    schema: Literal[1]
    families: list[Family] = []
    switches: list[Switch] = []
    keys: list[Key] = []


def convert(data: Any) -> Document:
    """Check what a file says. Raises msgspec.ValidationError."""
    return msgspec.convert(data, Document)


def _check_pattern(pattern: str) -> None:
    """Placeholders and plain signs alone: nothing that could be read as a program."""
    if not _PLAIN.fullmatch(_PLACEHOLDER.sub("", pattern)):
        raise ValueError(
            f"{pattern!r} is no pattern: it has letters, digits, . _ + - / and the placeholders "
            "{date8}, {int}, {version}, {build}, {image}"
        )
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError(f"{pattern!r} leaves its folder")


def _check_url(url: str) -> None:
    """The public network over https; what a name stands for is looked at when it is fetched."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as exc:
        raise ValueError(f"{url!r} is no URL") from exc
    if parts.scheme != "https" or parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not a plain https URL")
    try:
        public = ipaddress.ip_address(host).is_global
    except ValueError:
        public = "." in host and not host.endswith((".localhost", ".local", ".internal"))
        public = public and not host.replace(".", "").isdigit()
    if not public or not url.endswith("/"):
        raise ValueError(f"{url!r} is not a folder of a public host: it ends with /")
