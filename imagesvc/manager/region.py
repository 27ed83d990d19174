"""The other regions that images may be copied to, or come from."""

import dataclasses
from collections.abc import Iterable

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer
from imagesvc.stream.peer import Peer
from imagesvc.stream.peer_option import PeerOptions


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """Another region as everybody may know it."""

    id: str
    name: str
    endpoint: str


class Regions:
    """Finds other regions; `here` is the name of this one. One a process."""

    def __init__(self, here: str, options: Iterable[PeerOptions]) -> None:
        self.here = here
        self._peers = tuple(Peer(one) for one in options)

    def all(self) -> tuple[Peer, ...]:
        """In the order of the configuration."""
        return self._peers

    def find(self, name_or_id: str) -> Peer:
        """One by its id or name. Raises InvalidRequest for an unknown one, and for this one."""
        if name_or_id == self.here:
            raise errors.InvalidRequest(
                "Region {region} is this one: a copy within it is another job.", region=name_or_id
            )
        for one in self._peers:
            if name_or_id in (one.options.id, one.options.name):
                return one
        raise errors.InvalidRequest(
            "Region {region} is not known here; known are: {known}.",
            region=name_or_id,
            known=", ".join(one.options.name for one in self._peers) or "none",
        )

    def check_caller(self, ctx: RequestContext, source_region: str) -> None:
        """Raise Forbidden if somebody else than the region's own user speaks for it."""
        for one in self._peers:
            wanted = one.options.caller
            if (
                one.options.name == source_region
                and wanted
                and wanted not in (ctx.user_id, ctx.user_name)
            ):
                raise errors.Forbidden(
                    "You do not speak for region {region} here.", region=source_region
                )


class RegionManager:
    """Says which regions there are."""

    def __init__(self, operation: Operation, enforcer: Enforcer, regions: Regions) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._regions = regions

    @property
    def here(self) -> str:
        """The name of this region."""
        return self._regions.here

    def list(self, ctx: RequestContext) -> tuple[Region, ...]:
        """The other regions in the order of the configuration. Raises Forbidden."""
        with self._operation.look(ctx, "region:list", "region"):
            self._enforcer.authorize(ctx, "region:list")
        return tuple(
            Region(one.options.id, one.options.name, one.options.endpoint)
            for one in self._regions.all()
        )
