"""Old images of the catalog that no promise and no use protects any more."""

import dataclasses
import datetime
import functools
from collections.abc import Iterable, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import catalog as catalog_rows
from imagesvc.db import catalog_use, metadata
from imagesvc.domain import catalog_plan
from imagesvc.domain.catalog import Published
from imagesvc.domain.catalog_family import CatalogFamily
from imagesvc.domain.catalog_plan import FamilyPlan
from imagesvc.domain.image import Image
from imagesvc.manager.catalog_source import CatalogSource
from imagesvc.manager.image_delete import DeletionManager
from imagesvc.manager.image_impact import ImpactManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

ACTION = "catalog:prune"


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """An old image that stays, and why."""

    family: str
    image_id: str
    reason: str


class CatalogPruner:
    """For administrators. `unused_days` is how long the last use of an image protects it."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        deletions: DeletionManager,
        impacts: ImpactManager,
        source: CatalogSource,
        *,
        unused_days: int,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._deletions = deletions
        self._impacts = impacts
        self._source = source
        self._unused = datetime.timedelta(days=unused_days)

    def plan(
        self, ctx: RequestContext, names: Sequence[str] = ()
    ) -> tuple[tuple[FamilyPlan, ...], tuple[Kept, ...]]:
        """What would be deleted, and what stays and why; changes nothing.

        The published image of a family is not named: it always stays. Raises Forbidden,
        FamilyNotFound.
        """
        with self._operation.look(ctx, ACTION, "catalog"):
            self._enforcer.authorize(ctx, ACTION)
        known = {one.id: one for one in self._source.families()}
        for name in names:
            if name not in known:
                raise errors.FamilyNotFound(family=name)
        wanted = [known[name] for name in names or self._seen(known)]
        old, kept = self._old(wanted)
        uses, unknown = self._impacts.in_use([one.image_id for one in old]) if old else ({}, ())
        free: dict[str, list[Published]] = {one.id: [] for one in wanted}
        for one in old:
            reason = _used(one.image_id, uses, unknown)
            if reason:
                kept.append(Kept(one.release.family, one.image_id, reason))
            else:
                free[one.release.family].append(one)
        return tuple(self._planned(name, found) for name, found in free.items()), tuple(kept)

    def prune(
        self, ctx: RequestContext, names: Sequence[str] = ()
    ) -> tuple[tuple[FamilyPlan, ...], tuple[Kept, ...]]:
        """Delete what `plan` names; gives what it was, and what stays. Raises what `plan` does."""
        plans, kept = self.plan(ctx, names)
        late = self.carry_out(ctx, plans)
        left = {one.image_id for one in late}
        return tuple(plan.without(left) for plan in plans), (*kept, *late)

    def carry_out(self, ctx: RequestContext, plans: Iterable[FamilyPlan]) -> tuple[Kept, ...]:
        """Delete what was planned, each image in a transaction that looks at its rows once more.

        Gives those that stay, since they were promised, protected, used or made the newest
        meanwhile. One that was deleted meanwhile is as it was to be.
        """
        late: list[Kept] = []
        for plan in plans:
            judge = functools.partial(self._judge, plan.family)
            for image_id in plan.images:
                try:
                    self._deletions.delete(ctx, image_id, unless=judge)
                except errors.ImageNotFound:  # another was quicker
                    continue
                except errors.Conflict as exc:  # the others are none of its business
                    late.append(Kept(plan.family, image_id, str(exc.facts.get("why", exc.text))))
        return tuple(late)

    def _judge(self, family: str, conn: Any, image: Image) -> None:
        """Raise Conflict for an image that rows protect by now."""
        fact = catalog_use.of(conn, [image.id])[image.id]
        why = self._guarded(fact, metadata.now())
        if catalog_rows.state(conn, family).image_id == image.id:
            why = "it is the newest"
        if why:
            raise errors.Conflict("Image {image_id} stays: {why}.", image_id=image.id, why=why)

    def _seen(self, known: Iterable[str]) -> list[str]:
        """The families of which something was published."""
        with self._operation.database.read() as conn:
            states = catalog_rows.states(conn)
        return [name for name in known if name in states and states[name].image_id]

    def _old(self, families: Iterable[CatalogFamily]) -> tuple[list[Published], list[Kept]]:
        """Images that are past every promise, by the rows, and those that are not."""
        now = metadata.now()
        old: list[Published] = []
        kept: list[Kept] = []
        with self._operation.database.read() as conn:
            for family in families:
                present = catalog_rows.state(conn, family.id).image_id
                found = catalog_rows.releases(conn, family.id)
                facts = catalog_use.of(conn, [one.image_id for one in found])
                for number, one in enumerate(_newest_first(found, present)):
                    if one.image_id == present or one.image_id not in facts:
                        continue
                    reason = self._promised(number, family, facts[one.image_id], now)
                    if reason:
                        kept.append(Kept(family.id, one.image_id, reason))
                    else:
                        old.append(one)
        return old, kept

    def _promised(
        self,
        number: int,
        family: CatalogFamily,
        fact: catalog_use.Keepsake,
        now: datetime.datetime,
    ) -> str:
        """What protects an image, `number` images of its family being newer; empty if nothing does."""
        if family.is_faulty:
            return f"its family is not known any more: {family.off}"
        if number < family.promise.keep:
            return f"it is one of the last {family.promise.keep}"
        return self._guarded(fact, now)

    def _guarded(self, fact: catalog_use.Keepsake, now: datetime.datetime) -> str:
        if fact.protected:
            return "it is protected"
        if fact.provided_until is not None and fact.provided_until > now:
            return f"it is promised until {fact.provided_until:%Y-%m-%d}"
        if fact.last_used_at is not None and fact.last_used_at + self._unused > now:
            return f"it was used on {fact.last_used_at:%Y-%m-%d}"
        return ""

    def _planned(self, name: str, found: Sequence[Published]) -> FamilyPlan:
        with self._operation.database.read() as conn:
            facts = catalog_use.of(conn, [one.image_id for one in found])
        return FamilyPlan(
            name,
            tuple(
                catalog_plan.pruned(one, facts[one.image_id].size_bytes)
                for one in found
                if one.image_id in facts
            ),
        )


def _newest_first(found: Sequence[Published], present: str | None) -> list[Published]:
    """The published one first, then the others by the moment at which they were published."""
    return sorted(found, key=lambda one: one.image_id != present)


def _used(image_id: str, uses: dict[str, str], unknown: tuple[str, ...]) -> str:
    if image_id in uses:
        return f"{uses[image_id]} uses it"
    return f"it is not known what uses it: {', '.join(unknown)} did not answer" if unknown else ""
