"""What a sync of the catalog would do, in words: one line a step, with its reason and bytes."""

import dataclasses
import enum
from collections.abc import Collection, Sequence
from typing import Any

from imagesvc.domain.catalog import Published, Release

IMAGE = "image "


class Verb(enum.StrEnum):
    """Kinds of steps."""

    FETCH = "fetch"
    PUBLISH = "publish"
    MOVE_ALIAS = "move-alias"
    HIDE = "hide"
    PRUNE = "prune"


@dataclasses.dataclass(frozen=True, slots=True)
class PlanStep:
    """One thing that is done; `size_bytes` are moved, or freed. None: nobody says how many."""

    verb: Verb
    subject: str
    reason: str
    size_bytes: int | None = 0

    @property
    def text(self) -> str:
        """The step as a line."""
        amount = "size unknown" if self.size_bytes is None else f"{self.size_bytes} bytes"
        size = f" ({amount})" if self.size_bytes != 0 else ""
        return f"{self.verb} {self.subject}{size}: {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class FamilyPlan:
    """What is done for a family: no step if there is nothing new; `cause` says why it is refused."""

    family: str
    steps: tuple[PlanStep, ...] = ()
    cause: str | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """Ids of the images that are deleted."""
        pruned = (step for step in self.steps if step.verb == Verb.PRUNE)
        return tuple(step.subject.removeprefix(IMAGE) for step in pruned)

    def without(self, image_ids: Collection[str]) -> "FamilyPlan":
        """The plan but for steps of these images."""
        left = {IMAGE + one for one in image_ids}
        steps = tuple(step for step in self.steps if step.subject not in left)
        return dataclasses.replace(self, steps=steps)

    @property
    def lines(self) -> tuple[str, ...]:
        """The plan in words, at least one line."""
        if self.cause is not None:
            return (f"{self.family}: refused: {self.cause}",)
        return tuple(f"{self.family}: {step.text}" for step in self.steps) or (
            f"{self.family}: nothing new",
        )


def of_release(release: Release, published: Published | None) -> tuple[PlanStep, ...]:
    """The steps that make a new release the published one."""
    proof = _proof(release)
    steps = [
        PlanStep(
            Verb.FETCH,
            f"build {release.build}",
            f"it is new, its {release.digest[0]} is {release.digest[1][:16]}..., {proof}",
            release.size_bytes,
        ),
        PlanStep(Verb.PUBLISH, f"build {release.build}", "its bytes have that digest"),
    ]
    reason = (
        "the family has no image yet"
        if published is None
        else f"build {release.build} follows {published.release.build}"
    )
    steps.append(PlanStep(Verb.MOVE_ALIAS, f"family {release.family}", reason))
    if published is not None:
        steps.append(hidden(published))
    return tuple(steps)


def hidden(published: Published) -> PlanStep:
    """The former image leaves the lists."""
    return PlanStep(
        Verb.HIDE,
        IMAGE + published.image_id,
        f"build {published.release.build} is not the newest; it stays usable by id",
    )


def pruned(published: Published, size_bytes: int) -> PlanStep:
    """An image that nothing needs is deleted."""
    return PlanStep(
        Verb.PRUNE,
        IMAGE + published.image_id,
        f"build {published.release.build} is past every promise, and nothing uses it",
        size_bytes,
    )


def plain(steps: Sequence[PlanStep]) -> list[dict[str, Any]]:
    """Steps as JSON."""
    return [
        {
            "verb": str(step.verb),
            "subject": step.subject,
            "reason": step.reason,
            "size_bytes": step.size_bytes,
            "text": step.text,
        }
        for step in steps
    ]


def _proof(release: Release) -> str:
    if release.signature is not None:
        return f"signed by {release.signature.fingerprint}"
    return {
        "tls": "read over https alone",
        "pinned": "pinned in its entry",
        "local": "read from the operator's folder",
    }.get(release.trust, release.trust)
