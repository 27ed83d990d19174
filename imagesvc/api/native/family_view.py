"""Families as JSON of our own API; pure functions."""

from typing import Any

from imagesvc.api.native import views
from imagesvc.domain.family import Family, Version
from imagesvc.manager.family import FamilyDetail


def family(entity: Family) -> dict[str, Any]:
    """One family and its newest image."""
    return {
        "name": entity.name,
        "project_id": entity.owner,
        "image_id": entity.image_id,
        "version": entity.version,
        "pinned": entity.pinned,
        "former_image_id": entity.former_image_id,
        "moved_at": views.time(entity.moved_at),
    }


def detail(entity: FamilyDetail) -> dict[str, Any]:
    """The same with its images."""
    return {**family(entity.family), "versions": [_version(one) for one in entity.versions]}


def _version(entity: Version) -> dict[str, Any]:
    return {
        "image_id": entity.image_id,
        "name": entity.name,
        "version": entity.version,
        "status": str(entity.status),
        "hidden": entity.hidden,
        "created_at": views.time(entity.created_at),
        "deprecated_at": views.time(entity.deprecated_at),
        "provided_until": views.time(entity.provided_until),
    }
