"""What every storage backend has beside its driver's own options: its place among the others.

A store in the words of the Glance API is a storage backend.
"""

import dataclasses
from collections.abc import Iterable

from oslo_config import cfg

OPTS = (
    cfg.IntOpt(
        "weight",
        default=0,
        help="Of several stores that hold an image, the one of the highest weight is read first; "
        "equal weights go by id. A change holds from the next start on.",
    ),
    cfg.BoolOpt(
        "read_only",
        default=False,
        help="Whether nothing new is written to this store; what it holds is read and deleted.",
    ),
    cfg.StrOpt("description", default="", help="A sentence about this store for its users."),
)


LOCATION_OPTS = (
    cfg.StrOpt(
        "foreign_store",
        help="Id under which foreign URLs show as a read-only store, such as web; not set: a URL that "
        "is added as a location is fetched into a store of ours. With it the bytes stay where "
        "they are: what they are is checked only when they are read, and they may change or "
        "vanish. No server, volume, node or export is made of such an image.",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Store:
    """One storage backend as its users see it."""

    id: str
    driver: str
    weight: int = 0
    read_only: bool = False
    description: str = ""
    default: bool = False
    foreign: bool = False  # no backend of ours: its places are URLs elsewhere


class Stores(tuple[Store, ...]):
    """All stores of an installation, that of the highest weight first, then by id."""

    __slots__ = ()

    @classmethod
    def of(cls, stores: Iterable[Store]) -> "Stores":
        """Put them in order, that of foreign URLs last."""
        return cls(sorted(stores, key=lambda store: (store.foreign, -store.weight, store.id)))

    @property
    def foreign_id(self) -> str | None:
        """The id of the store of foreign URLs, if the operator wants one."""
        return next((store.id for store in self if store.foreign), None)

    @property
    def several(self) -> bool:
        """Whether there is a choice."""
        return len(self) > 1

    @property
    def ids(self) -> tuple[str, ...]:
        """Their ids, best first."""
        return tuple(store.id for store in self)

    def find(self, store_id: str) -> Store | None:
        """The store of an id, or None."""
        return next((store for store in self if store.id == store_id), None)

    def order(self, ids: Iterable[str], preferred: tuple[str, ...] = ()) -> tuple[str, ...]:
        """These ids, each once: the preferred first, then best first, then those unknown here."""
        found = set(ids)
        known = [one for one in (*preferred, *self.ids) if one in found]
        return tuple(dict.fromkeys((*known, *sorted(found))))
