"""The form of a catalog file: drivers read their families into it, and the service takes them so.

Names of files are text with placeholders: {date8} is a day as eight digits, {int} a whole number,
{version} numbers with dots or dashes between; {build} is the build that `builds` gave, {image} the
name of the image. Nothing in an entry is code, and nothing is a regular expression. Unknown keys are
refused.
"""

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
_OWN = re.compile(r"\{(date8|int|version)\}")
_PLACEHOLDER = re.compile(r"\{(date8|int|version|build|image)\}")
# Of names that no publisher would give, so many could be tried that reading them never ends.
_PLACEHOLDERS_MAX, _VERSIONS_MAX = 4, 2
_SIGN = re.compile(r"[^0-9]")
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
    """The list of digests in the folder of the image.

    gnu: `HEX  NAME` or `HEX *NAME` a line. bsd: `SHA256 (NAME) = HEX`. single: one digest, with a name
    or without. digests: blocks of lines like gnu, each under `# SHA512 HASH`. The strongest of SHA-256
    and SHA-512 that it has is taken.
    """

    file: _Text
    grammar: Literal["gnu", "bsd", "digests", "single"]


class Signature(_Strict, frozen=True):
    """Who signs, and where: `detached` names the signature of the list, `image` that of the image's
    bytes, `inline` says that the list is signed in itself; one of the three.

    `keys` are ids of keys. `allow_expired_key` takes a new list of a key that has expired since.
    """

    keys: Annotated[tuple[_Id, ...], msgspec.Meta(min_length=1)]
    detached: _Text | None = None
    inline: bool = False
    image: _Text | None = None
    allow_expired_key: bool = False

    def __post_init__(self) -> None:
        if (self.detached is not None) + self.inline + (self.image is not None) != 1:
            raise ValueError("a signature is one of detached, inline and image")


class Source(_Strict, frozen=True):
    """Where the bytes come from.

    checksum-index: `base` is a folder of a web server, `builds` its folders that are builds (without
    them the images lie in `base`), `image` the name of the image, which the list of `checksums` has.
    pinned: the `digest` of `image` stands here. local: only the operator can get it.
    """

    kind: Literal["checksum-index", "pinned", "local"]
    trust: Literal["signed", "tls", "pinned", "local"]
    base: _Text | None = None
    builds: _Text | None = None
    image: _Text | None = None
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})\Z")] | None = None  # fmt: skip
    checksums: Checksums | None = None
    signature: Literal["none"] | Signature = "none"
    unpack: Literal["none", "xz", "gz", "zst"] = "none"

    def __post_init__(self) -> None:
        """Raises ValueError for what does not fit together."""
        _check_kind(self)
        if self.base is not None:
            _check_url(self.base)
        for pattern in self.names():
            _check_pattern(pattern)
        _check_known(self)

    def names(self) -> list[str]:
        """All names of files that have placeholders, or may have."""
        found = [self.builds, self.image]
        if self.checksums is not None:
            found.append(self.checksums.file)
        if isinstance(self.signature, Signature):
            found += [self.signature.detached, self.signature.image]
        return [one for one in found if one is not None]

    @property
    def signed(self) -> Signature | None:
        """The signature, None without one."""
        return self.signature if isinstance(self.signature, Signature) else None


class Image(_Strict, frozen=True):
    """What an image gets; `min_disk` is GiB or auto, `min_ram` MiB."""

    format: Literal["qcow2", "raw", "vhd", "vmdk", "iso"]
    min_disk: Literal["auto"] | _Mebibytes = "auto"
    min_ram: _Mebibytes = 512
    properties: dict[str, str] = {}


class Promise(_Strict, frozen=True):
    """How often a build comes, how many stay (the published one counts), until when the family has
    an image, and until when every id stays."""

    replace: Literal["daily", "weekly", "monthly", "quarterly", "yearly", "never"] = "never"
    keep: Annotated[str, msgspec.Meta(pattern=r"^last-[1-9][0-9]{0,2}\Z")] = "last-3"
    until: datetime.date | None = None
    id_until: datetime.date | None = None


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
    """Keys of a publisher: `file` has the certificates, `fingerprints` are of primary keys.

    No fingerprint means that it is not known here. Keys are never fetched.
    """

    id: _Id
    file: _File
    fingerprints: tuple[_Fingerprint, ...] = ()


class Switch(_Strict, frozen=True):
    """Switches a family of the layer below on or off, and leaves the rest."""

    id: _Id
    enabled: bool


class Document(_Strict, frozen=True):
    """One file; each of `families` is read by itself, so that one that is wrong stops no other."""

    schema: Literal[1]
    families: list[Any] = []
    switches: list[Switch] = []
    keys: list[Key] = []


def document(data: Any) -> Document:
    """Check what a file says, but for its families. Raises msgspec.ValidationError."""
    return msgspec.convert(data, Document)


def family(data: Any) -> Family:
    """Check what an entry says. Raises msgspec.ValidationError."""
    return msgspec.convert(data, Family)


def has_placeholder(text: str) -> bool:
    """Whether a name is still to be found out: {build} and {image} are known by then."""
    return _OWN.search(text) is not None


def _check_kind(source: Source) -> None:
    """What each kind needs, and whether trust and proof agree."""
    if source.kind != "local" and source.base is None:
        raise ValueError("base is needed")
    if source.kind == "pinned" and (source.digest is None or source.image is None):
        raise ValueError("a pinned source needs image and digest")
    if source.kind == "checksum-index" and (source.checksums is None or source.image is None):
        raise ValueError("a checksum-index needs image and checksums")
    if (source.trust == "signed") != (source.signed is not None):
        raise ValueError("trust is signed exactly where there is a signature")
    if source.kind != "checksum-index" and source.trust != source.kind:
        raise ValueError(f"the trust of a {source.kind} source is {source.kind}")


def _check_known(source: Source) -> None:
    """Placeholders stand where they have a meaning."""
    names = source.names()
    if source.kind == "pinned" and any(_PLACEHOLDER.search(one) for one in names):
        raise ValueError("a pinned source has no placeholders")
    if source.builds is None and any("{build}" in one for one in names):
        raise ValueError("{build} needs builds")
    if any("{image}" in one for one in (source.builds, source.image) if one is not None):
        raise ValueError("{image} stands in names beside the image alone")
    if source.builds is not None:
        first, slash, rest = source.builds.partition("/")
        if not (slash and has_placeholder(first)) or "{" in rest or not source.builds.endswith("/"):
            raise ValueError("builds are folders that end in /, with placeholders in the first")
    signed = source.signed
    if signed and any(has_placeholder(one) for one in (signed.detached, signed.image) if one):
        raise ValueError("a signature is named by {build} and {image} alone")


def _check_pattern(pattern: str) -> None:
    """Placeholders and plain signs alone: nothing that could be read as a program."""
    if not _PLAIN.fullmatch(_PLACEHOLDER.sub("", pattern)):
        raise ValueError(
            f"{pattern!r} is no pattern: it has letters, digits, . _ + - / and the placeholders "
            "{date8}, {int}, {version}, {build}, {image}"
        )
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError(f"{pattern!r} leaves its folder")
    _, *between = _OWN.split(pattern)[::2]
    apart = all(_SIGN.search(one) for one in between[:-1])
    if len(between) > _PLACEHOLDERS_MAX or pattern.count("{version}") > _VERSIONS_MAX or not apart:
        raise ValueError(
            f"{pattern!r} could be read in too many ways: it has at most {_PLACEHOLDERS_MAX} "
            f"placeholders, {_VERSIONS_MAX} of them versions, with more than digits between two"
        )


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
