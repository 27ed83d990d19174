"""What the API answers about the catalog of public images."""

import datetime
from typing import Any

from imagesvc.api.native import views
from imagesvc.api.native.answer import Answer, Job
from imagesvc.domain.catalog import Published
from imagesvc.domain.catalog_plan import FamilyPlan, Verb, plain
from imagesvc.manager.catalog import FamilyDetail
from imagesvc.manager.catalog_prune import Kept


class Provenance(Answer):
    """Where an image of the catalog came from: a build of a family, the digest that its source's
    list has of it, who signed that list (null where `trust` is not signed) and when it was read.
    `withdrawn_at` says when it was rolled back."""

    family: str
    build: str
    url: str
    digest_algorithm: str
    digest_value: str
    size_bytes: int | None
    trust: str
    list_url: str
    signed_by: str | None
    signed_at: datetime.datetime | None
    resolved_at: datetime.datetime
    published_at: datetime.datetime
    withdrawn_at: datetime.datetime | None


class CatalogRelease(Provenance):
    """A build of a family and its image; `current` is what the family means now."""

    image_id: str
    current: bool


class CatalogFamily(Answer):
    """A family; `checked_at` is when its source was last read and believed, `cause` why the last
    sync did not publish, `overdue` why it is late. `off` says why a family is not synced; its entry
    cannot be used if `overdue` says the same. `note` is what an operator has to know."""

    id: str
    title: str
    enabled: bool
    off: str | None
    note: str | None
    image_id: str | None
    build: str | None
    trust: str | None
    replace: str
    keep: int
    provided_until: datetime.date | None
    checked_at: datetime.datetime | None
    failed_at: datetime.datetime | None
    cause: str | None
    overdue: str | None


class CatalogFamilyDetail(CatalogFamily):
    """A family with its builds that are there, newest first."""

    releases: list[CatalogRelease]


class CatalogFamilyList(Answer):
    """All families by id."""

    families: list[CatalogFamily]


class OneCatalogFamily(Answer):
    """One family."""

    family: CatalogFamilyDetail


class CatalogStep(Answer):
    """One thing that is done; `size_bytes` are moved, or freed: null if nobody says how many."""

    verb: Verb
    subject: str
    reason: str
    size_bytes: int | None
    text: str


class CatalogPlan(Answer):
    """What is done for a family: no step if there is nothing new; `cause` says why it is refused.
    `lines` are the same in words."""

    family: str
    steps: list[CatalogStep]
    cause: str | None
    lines: list[str]


class OneCatalogPlan(Answer):
    """The plan of one family."""

    plan: CatalogPlan


class CatalogKept(Answer):
    """An old image that stays, and why."""

    family: str
    image_id: str
    reason: str


class CatalogPruning(Answer):
    """What is deleted, or was, by family, and what stays."""

    plans: list[CatalogPlan]
    kept: list[CatalogKept]


class JobList(Answer):
    """Jobs that were begun, or go on."""

    jobs: list[Job]


def provenance(entity: Published) -> dict[str, Any]:
    """Where one image came from."""
    release = entity.release
    signed = release.signature
    return {
        "family": release.family,
        "build": release.build,
        "url": release.url,
        "digest_algorithm": release.digest[0],
        "digest_value": release.digest[1],
        "size_bytes": release.size_bytes,
        "trust": release.trust,
        "list_url": release.list_url,
        "signed_by": signed.fingerprint if signed else None,
        "signed_at": views.time(signed.made_at) if signed else None,
        "resolved_at": views.time(entity.resolved_at),
        "published_at": views.time(entity.published_at),
        "withdrawn_at": views.time(entity.withdrawn_at),
    }


def family(entity: FamilyDetail) -> dict[str, Any]:
    """One family."""
    published, promise, state = entity.published, entity.family.promise, entity.state
    return {
        "id": entity.family.id,
        "title": entity.family.title,
        "enabled": entity.family.enabled,
        "off": entity.family.off or None,
        "note": entity.family.note or None,
        "image_id": published.image_id if published else None,
        "build": published.release.build if published else None,
        "trust": published.release.trust if published else None,
        "replace": promise.replace,
        "keep": promise.keep,
        "provided_until": promise.until.isoformat() if promise.until else None,
        "checked_at": views.time(state.checked_at),
        "failed_at": views.time(state.failed_at),
        "cause": state.cause,
        "overdue": entity.overdue,
    }


def detail(entity: FamilyDetail, releases: tuple[Published, ...]) -> dict[str, Any]:
    """One family with its builds."""
    present = entity.published.image_id if entity.published else None
    return {
        **family(entity),
        "releases": [
            {**provenance(one), "image_id": one.image_id, "current": one.image_id == present}
            for one in releases
        ],
    }


def plan(entity: FamilyPlan) -> dict[str, Any]:
    """One plan."""
    return {
        "family": entity.family,
        "steps": plain(entity.steps),
        "cause": entity.cause,
        "lines": list(entity.lines),
    }


def pruning(plans: tuple[FamilyPlan, ...], kept: tuple[Kept, ...]) -> dict[str, Any]:
    """What is deleted, and what stays."""
    return {
        "plans": [plan(one) for one in plans],
        "kept": [
            {"family": one.family, "image_id": one.image_id, "reason": one.reason} for one in kept
        ],
    }
