"""The lock file: which release of each family is published, as sorted JSON for a git repository."""

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from imagesvc import errors
from imagesvc.domain import catalog, image_import
from imagesvc.domain.catalog import Published, Release, Signature

SCHEMA = 1
FILE_BYTES_MAX = 4 << 20
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
_Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32,128}$")]


class LockedDigest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An algorithm and a hex value."""

    algorithm: _Word
    value: _Hex


class LockedSignature(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who signed the list, when; `sha256` is of the signature."""

    fingerprint: _Word
    made_at: datetime.datetime
    sha256: _Hex


class LockedFamily(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One family: its release, and what became of it in the region that wrote the file."""

    build: _Word
    url: _Word
    digest: LockedDigest
    trust: Literal["tls", "local", "pinned", "signed"]
    resolved_at: datetime.datetime
    image_id: _Word
    stored: LockedDigest
    size_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    order: tuple[int, ...] = ()
    list_url: str = ""
    signature: LockedSignature | None = None


class LockFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    schema: Literal[1]
    families: dict[_Word, LockedFamily]


def text(published: Iterable[Published]) -> str:
    """The file of these, one a family."""
    families = {one.release.family: msgspec.to_builtins(_locked(one)) for one in published}
    whole = {"schema": SCHEMA, "families": families}
    return json.dumps(whole, indent=2, sort_keys=True) + "\n"


def parse(data: bytes) -> Mapping[str, LockedFamily]:
    """Family -> entry. Raises InvalidRequest, which says where the file is wrong."""
    if len(data) > FILE_BYTES_MAX:
        raise errors.InvalidRequest(f"A lock file has at most {FILE_BYTES_MAX} bytes.")
    try:
        found = msgspec.json.decode(data, type=LockFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:  # whoever wrote the file reads this
        raise errors.InvalidRequest("The lock file is not usable: {cause}.", cause=exc) from exc
    return check(found)


def check(found: LockFile) -> Mapping[str, LockedFamily]:
    """Family -> entry. Raises InvalidRequest for a digest or a time that is none."""
    for family, one in found.families.items():
        for digest in (one.digest, one.stored):
            image_import.check_digest(digest.algorithm, digest.value)
        moments = [one.resolved_at, *([one.signature.made_at] if one.signature else [])]
        if any(moment.tzinfo is None for moment in moments):
            raise errors.InvalidRequest(
                "The lock file has a time without a zone at {family}.", family=family
            )
    return found.families


def entry(found: Any) -> LockedFamily:
    """The entry that a job kept as JSON."""
    return msgspec.convert(found, LockedFamily)


def plain(locked: LockedFamily) -> dict[str, Any]:
    """An entry as JSON, for a job to keep."""
    made: dict[str, Any] = msgspec.to_builtins(locked)
    return made


def release(family: str, locked: LockedFamily) -> Release:
    """The release of an entry."""
    signature = None
    if (signed := locked.signature) is not None:
        signature = Signature(signed.fingerprint, signed.made_at, signed.sha256)
    return Release(
        family=family,
        build=locked.build,
        url=locked.url,
        digest=(locked.digest.algorithm, locked.digest.value),
        size_bytes=locked.size_bytes,
        trust=locked.trust,
        order=locked.order,
        list_url=locked.list_url,
        signature=signature,
    )


def _locked(one: Published) -> LockedFamily:
    release = one.release
    signature = None
    if (signed := release.signature) is not None:
        signature = LockedSignature(signed.fingerprint, signed.made_at, signed.sha256)
    return LockedFamily(
        build=release.build,
        url=release.url,
        digest=LockedDigest(*release.digest),
        trust=_trust(release),
        resolved_at=one.resolved_at,
        image_id=one.image_id,
        stored=LockedDigest(*one.stored),
        size_bytes=release.size_bytes,
        order=release.order,
        list_url=release.list_url,
        signature=signature,
    )


def _trust(release: Release) -> Literal["tls", "local", "pinned", "signed"]:
    for one in catalog.TRUSTS:
        if one == release.trust:
            return one  # type: ignore[return-value]
    raise ValueError(f"unknown trust {release.trust}")
