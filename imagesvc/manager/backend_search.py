"""Things that no row of ours names, looked for on the backends of a kind."""

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.interface.errors import DriverError, NotFound

T = TypeVar("T")


def find(
    backends: Backends,
    kind: str,
    backend_id: str | None,
    ask: Callable[[str], T],
    missing: errors.NotFound,
) -> tuple[str, T]:
    """The id of the backend where `ask(backend_id)` finds it, and what it gives.

    Without `backend_id` every enabled backend of the kind is asked, the default one first. Raises
    `missing` when all have answered no, and the failure of one that did not answer.
    """
    failure: Exception | None = None
    for one in _asked(backends, kind, backend_id):
        try:
            return one, ask(one)
        except NotFound:  # it may live on the next one
            continue
        except (DriverError, errors.BackendFailed) as exc:  # told only if no other has it
            failure = failure or exc
    raise failure or missing


def list_page(
    backends: Backends,
    kind: str,
    backend_id: str | None,
    ask: Callable[[str], Sequence[T]],
    order: Callable[[T], Any],
    limit: int,
) -> Sequence[T]:
    """The first `limit` of what one or all backends list in `order`.

    Raises what a backend raises: a list with a part missing would look whole.
    """
    pages = [ask(one) for one in _asked(backends, kind, backend_id)]
    return list(itertools.islice(heapq.merge(*pages, key=order), limit))


def _asked(backends: Backends, kind: str, backend_id: str | None) -> Sequence[str]:
    if backend_id is not None:
        backends.status(kind, backend_id)  # raises for one that is not configured
        return (backend_id,)
    default = backends.default_id(kind)
    return sorted(backends.ids(kind), key=lambda one: one != default)
