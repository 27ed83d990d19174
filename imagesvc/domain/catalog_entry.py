"""What a file of the catalog's directory says of public families: structs, read strictly.

Text of a release is written as a pattern of placeholders, see catalog_pattern. Nothing in an entry
is code, and nothing is a regular expression.
"""

import datetime
from typing import Annotated, Literal

import msgspec

from imagesvc.domain.catalog_family import KEEP_DEFAULT, CatalogFamily, Promise

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}$")]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Url = Annotated[str, msgspec.Meta(pattern=r"^https://[^\s]{1,2000}$")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]
_Fingerprint = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-F]{40}|[0-9A-F]{64})$")]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A struct that takes no key it does not know."""


class OsEntry(_Strict, frozen=True):
    """The system, in the words of libosinfo; `login` is the user that the image makes."""

    distro: _Name
    version: _Text
    arch: Literal["x86_64", "aarch64"]
    purpose: Literal["generic", "minimal", "k8snode", "gpu", "network", "custom"] = "generic"
    login: str = ""


class ChecksumsEntry(_Strict, frozen=True):
    """The list of digests beside the image; `file` is a name, with {image} or {build} in it or as
    a pattern of its own."""

    file: _Text
    grammar: Literal["gnu", "bsd", "digests", "single"]
    algorithm: Literal["sha256", "sha512"] = "sha256"


class SignatureEntry(_Strict, frozen=True):
    """Who signs, and where: `detached` names the signature of the list, `image` that of the image's
    bytes, `inline` says that the list is signed in itself. `keys` are ids of keys."""

    keys: Annotated[tuple[_Name, ...], msgspec.Meta(min_length=1)]
    detached: _Text | None = None
    image: _Text | None = None
    inline: bool = False
    allow_expired_key: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError unless there is exactly one place."""
        if bool(self.detached) + bool(self.image) + self.inline != 1:
            raise ValueError("a signature is one of detached, image and inline")


class ChecksumIndexEntry(_Strict, frozen=True, tag_field="kind", tag="checksum-index"):
    """A folder of a web server. `builds` are its folders that are builds, none if the images lie in
    it; `image` names the image in the list."""

    base: _Url
    image: _Text
    checksums: ChecksumsEntry
    builds: _Text | None = None
    signature: SignatureEntry | Literal["none"] = "none"
    unpack: Literal["none", "xz", "gz", "zst"] = "none"
    trust: Literal["tls", "signed"] = "tls"

    def __post_init__(self) -> None:
        """Raises ValueError if trust and signature do not agree, or the base is no folder."""
        if (self.trust == "signed") != (self.signature != "none"):
            raise ValueError("trust is signed where there is a signature, and only there")
        if not self.base.endswith("/"):
            raise ValueError("base is a folder, and ends in a slash")


class PinnedEntry(_Strict, frozen=True, tag_field="kind", tag="pinned"):
    """One image whose digest, `sha256:HEX` or `sha512:HEX`, stands in the entry."""

    url: _Url
    build: _Text
    digest: Annotated[str, msgspec.Meta(pattern=r"^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$")]
    size_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    unpack: Literal["none", "xz", "gz", "zst"] = "none"


class LocalEntry(_Strict, frozen=True, tag_field="kind", tag="local"):
    """An image that only the operator can get; `how` says where and what to do with it."""

    how: _Text


Source = ChecksumIndexEntry | PinnedEntry | LocalEntry


class ImageEntry(_Strict, frozen=True):
    """What an image of the family needs; `min_disk` in GiB, auto is what the disk needs; `min_ram`
    in MiB."""

    format: Literal["qcow2", "raw", "vmdk", "vhd", "vhdx", "vdi", "iso"]
    min_disk: _Count | Literal["auto"] = "auto"
    min_ram: _Count = 0
    properties: dict[str, str] = {}


class PromiseEntry(_Strict, frozen=True):
    """How long images stay; `keep` counts builds as `last-N`, `until` and `id_until` are days."""

    replace: Literal["never", "daily", "weekly", "monthly", "quarterly", "yearly"] = "never"
    keep: Annotated[str, msgspec.Meta(pattern=r"^last-[1-9][0-9]{0,2}$")] = f"last-{KEEP_DEFAULT}"
    until: datetime.date | None = None
    id_until: datetime.date | None = None


class PublicFamilyEntry(_Strict, frozen=True):
    """One family whose images somebody else builds."""

    id: _Name
    title: _Text
    os: OsEntry
    source: Source
    image: ImageEntry
    promise: PromiseEntry = msgspec.field(default_factory=PromiseEntry)
    channels: tuple[_Name, ...] = ()
    enabled: bool = True

    def family(self) -> CatalogFamily:
        """The family as the catalog sees it."""
        own, system = self.promise, self.os
        said = {
            "os_distro": system.distro,
            "os_version": system.version,
            "os_purpose": system.purpose,
            "architecture": system.arch,
            **({"image_original_user": system.login} if system.login else {}),
        }
        return CatalogFamily(
            id=self.id,
            title=self.title,
            disk_format=self.image.format,
            properties={**said, **self.image.properties},
            promise=Promise(
                own.replace, int(own.keep.removeprefix("last-")), own.until, own.id_until
            ),
            min_disk_gib=None if self.image.min_disk == "auto" else self.image.min_disk,
            min_ram_mib=self.image.min_ram,
            enabled=self.enabled,
        )


class KeyEntry(_Strict, frozen=True):
    """Keys of a publisher: `fingerprints` of primary keys in capitals, `file` beside the entries
    with the certificates. Keys are never fetched."""

    id: _Name
    fingerprints: Annotated[tuple[_Fingerprint, ...], msgspec.Meta(min_length=1)]
    file: _Text


class CatalogFile(_Strict, frozen=True):
    """One file."""

    schema: Literal[1]
    families: tuple[PublicFamilyEntry, ...] = ()
    keys: tuple[KeyEntry, ...] = ()
