"""What uses an image: asked before something is done to it."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import image_use as use_rows
from imagesvc.db import member as member_rows
from imagesvc.domain.image import Visibility
from imagesvc.domain.state import MemberStatus
from imagesvc.interface.errors import DriverError
from imagesvc.manager.image import visible_image
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

LOG = logging.getLogger(__name__)
ACTION = "image:impact"
PAGE, PAGES_MAX = 100, 50
_OPEN = frozenset({Visibility.PUBLIC, Visibility.COMMUNITY})


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """Something that was made of an image, or reads it; `kind` is server, volume, image, job,
    region-copy (`name` is the region) or family (`name` is the version)."""

    kind: str
    id: str
    name: str | None
    project_id: str | None
    state: str


@dataclasses.dataclass(frozen=True, slots=True)
class Impact:
    """All that is known; `unknown` are the backends that did not answer, or have too much to look
    through: what they have is not in `uses`."""

    image_id: str
    members: tuple[tuple[str, str], ...]
    uses: tuple[Use, ...]
    unknown: tuple[str, ...]


class ImpactManager:
    """Answers for owners and administrators."""

    def __init__(self, operation: Operation, enforcer: Enforcer, backends: Backends) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends

    def impact(self, ctx: RequestContext, image_id: str) -> Impact:
        """Servers and volumes of the owner's project and of members that accepted the image, or of all
        projects if an administrator asks of an image that all may use; images that were made of it,
        and jobs that read it. Raises ImageNotFound, Forbidden."""
        with self._operation.look(ctx, ACTION, "image", image_id) as step:
            with self._operation.database.read() as conn:
                image = visible_image(conn, ctx, image_id)
                members = member_rows.list(conn, image_id)
                rows = [Use(*one) for one in use_rows.of(conn, image_id)]
            step.owner = image.owner
            self._enforcer.authorize(ctx, ACTION, image)
        accepted = [one.member_id for one in members if one.status == MemberStatus.ACCEPTED]
        unknown: list[str] = []
        others = self._projects(unknown) if ctx.is_admin and image.visibility in _OPEN else ()
        for project_id in dict.fromkeys([image.owner, *accepted, *others]):
            if project_id is not None:
                rows += self._machines(project_id, image_id, unknown)
        told = tuple((one.member_id, str(one.status)) for one in members)
        return Impact(image_id, told, tuple(rows), tuple(dict.fromkeys(unknown)))

    def in_use(self, image_ids: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Of these images those that something of any project uses, and what; and the backends that
        did not answer. Without a caller: for what decides over images of all projects. That an image
        is one of a family keeps nobody from deleting it."""
        found: dict[str, str] = {}
        unknown: list[str] = []
        with self._operation.database.read() as conn:
            for image_id in image_ids:
                uses = (Use(*one) for one in use_rows.of(conn, image_id))
                for use in (one for one in uses if one.kind != "family"):
                    found.setdefault(image_id, f"{use.kind} {use.id}")
        wanted = frozenset(image_ids)
        for project_id in self._projects(unknown) if wanted else ():
            for use, made_of in self._each_machine(project_id, unknown):
                if made_of in wanted:
                    found.setdefault(made_of or "", f"{use.kind} {use.id}")
        return found, tuple(dict.fromkeys(unknown))

    def _projects(self, unknown: list[str]) -> list[str]:
        """Every project that the identity backend knows."""
        try:
            return [one.project_id for one in self._backends.identity().list_projects()]
        except (DriverError, errors.ImagesvcError) as exc:
            LOG.warning("projects not known: %s", exc)
            unknown.append("identity")
            return []

    def _machines(self, project_id: str, image_id: str, unknown: list[str]) -> Iterator[Use]:
        """What the compute and volume backends have of it."""
        for use, made_of in self._each_machine(project_id, unknown):
            if made_of == image_id:
                yield use

    def _each_machine(
        self, project_id: str, unknown: list[str]
    ) -> Iterator[tuple[Use, str | None]]:
        """All that the compute and volume backends have of a project, and what it was made of."""
        for kind, noun in (("compute", "server"), ("volume", "volume")):
            for backend_id in self._backends.ids(kind):
                try:
                    for one in self._each(kind, backend_id, project_id):
                        found = getattr(one, f"{noun}_id")
                        use = Use(noun, found, one.name, project_id, str(one.state))
                        yield use, one.image_id
                except (DriverError, errors.ImagesvcError) as exc:
                    LOG.warning("impact not known kind=%s id=%s: %s", kind, backend_id, exc)
                    unknown.append(f"{kind} {backend_id}")

    def _each(self, kind: str, backend_id: str, project_id: str) -> Iterator[Any]:
        """All servers or volumes of a project on one backend. Raises DriverError if they are too many."""
        driver: Any = self._backends.get(kind, backend_id)
        ask: Callable[..., Sequence[Any]] = (
            driver.list_servers if kind == "compute" else driver.list_volumes
        )
        after: str | None = None
        for _ in range(PAGES_MAX):
            page = ask(project_id, after=after, limit=PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].server_id if kind == "compute" else page[-1].volume_id
        raise DriverError(f"More than {PAGE * PAGES_MAX} of them.")
