"""What a worker does to the catalog: decide what is new, make its image, publish it."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.context import service_context
from imagesvc.db import catalog as catalog_rows
from imagesvc.db import family as family_rows
from imagesvc.db import image as image_rows
from imagesvc.db import metadata
from imagesvc.domain import catalog, catalog_family, catalog_lock, catalog_plan, promise
from imagesvc.domain.catalog import Allowance, Published, Release
from imagesvc.domain.catalog_family import CatalogFamily
from imagesvc.domain.catalog_plan import PlanStep
from imagesvc.domain.image import Image, NewImage, Visibility
from imagesvc.domain.job import Job
from imagesvc.manager.catalog_source import CatalogSource, Resolved
from imagesvc.manager.image import ImageManager
from imagesvc.manager.operation import Operation, Step

# Of an image that is not the newest of its family any more.
_FORMER_PURPOSE = {"generic": "oldgeneric"}


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What is offered, and the steps that it comes to; none if there is nothing new."""

    found: Resolved
    steps: tuple[PlanStep, ...]


class CatalogSync:
    """One family at a time. `owner_project` has the images, which are `visibility` once published."""

    def __init__(
        self,
        operation: Operation,
        images: ImageManager,
        source: CatalogSource,
        *,
        owner_project: str,
        visibility: Visibility,
    ) -> None:
        self._operation = operation
        self._images = images
        self._source = source
        self._owner = owner_project
        self._visibility = visibility
        self.open, self.judge = source.open, source.judge

    def family(self, name: str) -> CatalogFamily:
        """The entry of a family. Raises FamilyNotFound, CatalogRefused if it is not usable."""
        for one in self._source.families():
            if one.id == name and one.is_faulty:
                raise errors.CatalogRefused(family=name, cause=one.off)
            if one.id == name:
                return one
        raise errors.FamilyNotFound(family=name)

    def decide(
        self,
        name: str,
        allowed: Allowance,
        locked: catalog_lock.LockedFamily | None = None,
    ) -> Decision:
        """Ask the source, or the lock file, and judge the answer; changes nothing.

        Raises FamilyNotFound, CatalogRefused for what goes backwards, FetchFailed.
        """
        self.family(name)
        if locked is None:
            found = self._source.resolve(name)
        else:
            found = Resolved(catalog_lock.release(name, locked))
        with self._operation.database.read() as conn:
            state = catalog_rows.state(conn, name)
            published = catalog_rows.current(conn, name)
            withdrawn = frozenset() if allowed.again else catalog_rows.withdrawn(conn, name)
        catalog.check_list(found.release, state, allowed)
        if not catalog.is_new(found.release, published, withdrawn):
            return Decision(found, ())
        catalog.check(found.release, published, allowed)
        return Decision(found, catalog_plan.of_release(found.release, published))

    def bear(self, conn: Any, job: Job, found: Resolved) -> None:
        """Make the record of the image that the release will fill, in the caller's transaction.

        Nobody but its project sees it. Raises QuotaExceeded, InvalidRequest for an entry whose
        properties are none.
        """
        release = found.release
        family = self.family(release.family)
        ctx = service_context(job.request_id, self._owner)
        new = NewImage(
            id=job.image_id,
            owner=self._owner,
            name=family.title,
            visibility=Visibility.PRIVATE,
            hidden=True,
            disk_format=family.disk_format,
            container_format="bare",
            min_disk_gib=family.min_disk_gib or 0,
            min_ram_mib=family.min_ram_mib,
            properties=_properties(family, release),
        )
        self._images.insert(Step(conn, job.image_id or ""), ctx, new)
        image_rows.transition(conn, job.image_id or "", "make")
        image_rows.update(conn, job.image_id or "", {"job_id": job.id})
        catalog_rows.insert(conn, job.image_id or "", release, metadata.now(), found.evidence)

    def unchanged(self, conn: Any, family: str, signed_at: datetime.datetime | None) -> None:
        """The source was read, and has nothing new; its list may have been signed anew."""
        before = catalog_rows.state(conn, family, lock=True).signed_at
        is_later = signed_at is not None and (before is None or signed_at > before)
        _seen(conn, family, **({"signed_at": signed_at} if is_later else {}))

    def publish(self, conn: Any, image_id: str) -> None:
        """An active image becomes the newest of its family, and the one before it leaves the lists.

        In the transaction that made the image active. Raises ImageGone if it was deleted.
        """
        release = catalog_rows.coming(conn, image_id)
        image = image_rows.get(conn, image_id, lock=True)
        if release is None or image is None:
            raise errors.ImageGone(image_id=image_id)
        family = self.family(release.family)
        before = catalog_rows.current(conn, release.family)
        now = metadata.now()
        stored = (image.hash_algorithm or "", image.hash_value or "")
        catalog_rows.publish(conn, image_id, stored, now)
        if before is not None:
            self._fold(conn, before, family)
        self._show(conn, image, release, family)
        self._point(conn, release.family, image_id)
        signed = {"signed_at": release.signature.made_at} if release.signature else {}
        _seen(conn, release.family, image_id=image_id, **signed)

    def rollback(self, conn: Any, name: str) -> tuple[Published, Published]:
        """The build before is the newest again: (what was, what is), in the caller's transaction.

        Raises FamilyNotFound, Conflict if there is none before it.
        """
        family = self.family(name)
        catalog_rows.state(conn, name, lock=True)
        present = catalog_rows.current(conn, name)
        others = [
            one
            for one in catalog_rows.releases(conn, name)
            if one.withdrawn_at is None and present and one.published_at < present.published_at
        ]
        image = image_rows.get(conn, others[0].image_id, lock=True) if others else None
        if present is None or image is None:
            raise errors.Conflict("Family {family} has no build to go back to.", family=name)
        former = others[0]
        self._fold(conn, present, family)
        self._show(conn, image, former.release, family)
        purposes = {later: first for first, later in _FORMER_PURPOSE.items()}
        purpose = image.properties.get("os_purpose", "")
        if purpose in purposes:
            image_rows.set_properties(conn, image.id, {"os_purpose": purposes[purpose]})
        self._point(conn, name, image.id)
        catalog_rows.withdraw(conn, present.image_id, metadata.now())
        catalog_rows.keep(conn, name, image_id=former.image_id)
        return present, former

    def _point(self, conn: Any, name: str, image_id: str) -> None:
        """The family's alias names this image. Raises Conflict if another moves it just now."""
        known = family_rows.alias(conn, self._owner, name)
        former_id = known[0] if known else None
        if former_id == image_id:
            return
        if not family_rows.move(conn, self._owner, name, image_id, former_id, metadata.now()):
            raise errors.Conflict("The alias of family {family} is being moved.", family=name)

    def _clear(self, conn: Any, image_id: str, family: CatalogFamily) -> None:
        """What the family shows besides leaves the lists: an undo, or somebody by hand, showed it."""
        shown_id = family_rows.shown(conn, self._owner, family.id)
        if shown_id is None or shown_id == image_id:
            return
        known = catalog_rows.get(conn, shown_id)
        if known is not None:
            self._fold(conn, known, family)
        else:
            image_rows.update(conn, shown_id, {"hidden": True})

    def _show(self, conn: Any, image: Image, release: Release, family: CatalogFamily) -> None:
        self._clear(conn, image.id, family)
        values: dict[str, Any] = {
            "name": family.title,
            "visibility": self._visibility,
            "hidden": False,
            "min_disk_gib": catalog_family.min_disk_gib(family, image.virtual_size_bytes),
            "family": release.family,
            "family_version": release.build,
        }
        image_rows.update(conn, image.id, values)
        _provide(conn, image, family.promise.until)

    def _fold(self, conn: Any, before: Published, family: CatalogFamily) -> None:
        """The image that was the newest: hidden, renamed, and under its own promise."""
        image = image_rows.get(conn, before.image_id, lock=True)
        if image is None:
            return
        values = {
            "name": f"{family.title} ({before.release.build})",
            "hidden": True,
        }
        image_rows.update(conn, before.image_id, values)
        _provide(conn, image, family.promise.id_until, family.promise.until)
        purpose = image.properties.get("os_purpose", "")
        if purpose in _FORMER_PURPOSE:
            changed = {"os_purpose": _FORMER_PURPOSE[purpose]}
            image_rows.set_properties(conn, before.image_id, changed)


def _provide(
    conn: Any, image: Image, day: datetime.date | None, ended: datetime.date | None = None
) -> None:
    """Promise an image until a day; what is shown as promised is what is kept.

    A promise for longer stays: an administrator gave it, or an older entry of the family. Only that
    of its family, until `ended`, goes to the build that took its place.
    """
    shown = {promise.PROVIDED_UNTIL: str(day)} if day else {}
    until, kept = promise.moment(shown.get(promise.PROVIDED_UNTIL)), image.provided_until
    of_family = kept == promise.moment(str(ended) if ended else None)
    if not of_family and promise.shortens(kept, until, metadata.now()):
        return
    image_rows.update(conn, image.id, {"provided_until": until})
    image_rows.set_properties(conn, image.id, shown, () if day else (promise.PROVIDED_UNTIL,))


def _seen(conn: Any, family: str, **values: Any) -> None:
    moment = metadata.now()
    catalog_rows.keep(conn, family, checked_at=moment, failed_at=None, cause=None, **values)


def failed(conn: Any, job: Job, cause: str, moment: datetime.datetime) -> None:
    """A job of a family failed: nothing of it stays but the reason."""
    catalog_rows.forget(conn, job.image_id or "")
    catalog_rows.keep(conn, job.args["family"], failed_at=moment, cause=cause)


def allowance(args: Mapping[str, Any]) -> Allowance:
    """What the arguments of a job allow."""
    names = [field.name for field in dataclasses.fields(Allowance)]
    return Allowance(**{name: bool(args.get(name)) for name in names})


def _properties(family: CatalogFamily, release: Release) -> dict[str, str]:
    return {
        **promise.without(family.properties),
        **family.promise.properties(),
        "image_source": release.url,
        "image_build": release.build,
    }
