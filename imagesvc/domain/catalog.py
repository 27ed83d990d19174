"""The public images of the catalog: what was taken from where, and what follows from that.

A *release* is one build of a family as its source names it. Of each family the row of its state
says which release is published; every release that was ever published stays known by its image.
"""

import dataclasses
import datetime
from typing import Any

from imagesvc import errors

# How much a digest is worth, weakest first: by the transport alone, by an entry or a folder of the
# operator's own, by a signature of the publisher's.
TRUSTS = ("tls", "local", "pinned", "signed")


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """Who signed the list, when, and the SHA-256 of the signature as it was kept."""

    fingerprint: str
    made_at: datetime.datetime
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class Release:
    """One build of a family.

    `digest` is an algorithm and a hex value of the bytes at `url`, packed or not; `size_bytes` is
    None if the source does not say. `build` is for people, `order` tells which of two builds is the
    newer one: () where only the digest tells builds apart. `list_url` names what the digest was
    read from.
    """

    family: str
    build: str
    url: str
    digest: tuple[str, str]
    size_bytes: int | None
    trust: str
    order: tuple[int, ...] = ()
    list_url: str = ""
    signature: Signature | None = None

    @property
    def digest_text(self) -> str:
        """The digest in a word."""
        return ":".join(self.digest)


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """What says that a release is right, as it was read: the list of digests, and its signature."""

    list_bytes: bytes | None = None
    signature_bytes: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Published:
    """A release and the image that was made of it; `stored` is the digest of the stored bytes.

    `withdrawn_at` says when it was rolled back: it is not taken again by itself.
    """

    image_id: str
    release: Release
    stored: tuple[str, str]
    resolved_at: datetime.datetime
    published_at: datetime.datetime
    withdrawn_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class FamilyState:
    """What is known of a family; times are None for what never happened.

    `image_id` is the published image, `checked_at` when its source was last read and believed,
    `job_id` the last job that worked on it, `cause` why that did not publish.
    """

    family: str
    image_id: str | None = None
    checked_at: datetime.datetime | None = None
    signed_at: datetime.datetime | None = None
    job_id: str | None = None
    failed_at: datetime.datetime | None = None
    cause: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Allowance:
    """What an administrator asks for that is refused otherwise.

    `downgrade` takes an older build or list, `weaker` less trust than before, `again` a release
    that was rolled back.
    """

    downgrade: bool = False
    weaker: bool = False
    again: bool = False

    def arguments(self) -> dict[str, Any]:
        """What a job keeps of it."""
        return {name: True for name, value in dataclasses.asdict(self).items() if value}


NOTHING = Allowance()


def check_list(offered: Release, state: FamilyState, allowed: Allowance) -> None:
    """Raise CatalogRefused for a list that was signed before the last one that was believed."""
    made_at = offered.signature.made_at if offered.signature else None
    if not allowed.downgrade and made_at and state.signed_at and made_at < state.signed_at:
        raise errors.CatalogRefused(
            family=offered.family,
            cause=f"its list was signed at {_time(made_at)}, and one that was signed at "
            f"{_time(state.signed_at)} was seen before.",
        )


def check(
    offered: Release,
    published: Published | None,
    allowed: Allowance,
) -> None:
    """Raise CatalogRefused for what goes backwards: build or trust."""
    if published is None:
        return
    before = published.release
    if not allowed.weaker and TRUSTS.index(offered.trust) < TRUSTS.index(before.trust):
        raise errors.CatalogRefused(
            family=offered.family,
            cause=f"build {offered.build} is trusted by {offered.trust}, and the published one by "
            f"{before.trust}.",
        )
    if offered.digest == before.digest:
        return
    if not allowed.downgrade and is_older(offered, before):
        raise errors.CatalogRefused(
            family=offered.family,
            cause=f"build {offered.build} is older than the published {before.build}.",
        )
    if not allowed.downgrade and offered.order and offered.order == before.order:
        raise errors.CatalogRefused(
            family=offered.family,
            cause=f"build {offered.build} is published already, with other bytes.",
        )


def is_older(one: Release, other: Release) -> bool:
    """Whether a build comes before another, as far as their names tell."""
    return bool(one.order and other.order) and one.order < other.order


def is_new(offered: Release, published: Published | None, withdrawn: frozenset[str]) -> bool:
    """Whether a release is to be taken; `withdrawn` are the digests that were rolled back."""
    if offered.digest_text in withdrawn:
        return False
    return published is None or offered.digest != published.release.digest


def _time(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
