"""Which KMS a key is in: there is no row of it, so the backends are asked."""

import contextlib
from collections.abc import Iterator, Sequence

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.interface.encryption import EncryptionCapability, KeyInfo
from imagesvc.interface.errors import NotFound
from imagesvc.manager import backend_search


def find(
    backends: Backends, project_id: str, key_id: str, backend_id: str | None = None
) -> tuple[str, KeyInfo]:
    """The id of a key's backend, and the key, if it is the project's. Raises KeyNotFound."""

    def ask(one: str) -> KeyInfo:
        found = backends.encryption(one).describe_key(key_id)
        if found.project_id != project_id:
            raise NotFound("The key is not this project's.")
        return found

    return backend_search.find(
        backends, "encryption", backend_id, ask, errors.KeyNotFound(key_id=key_id)
    )


def list_all(
    backends: Backends, project_id: str, backend_id: str | None = None
) -> Sequence[tuple[str, KeyInfo]]:
    """The keys of a project by backend and id, of all backends that list theirs."""
    wanted = backends.ids("encryption") if backend_id is None else (backend_id,)
    found = []
    for one in wanted:
        driver = backends.encryption(one)
        if EncryptionCapability.LIST_KEYS in driver.info().capabilities:
            found += [(one, key) for key in driver.list_keys(project_id)]
    return found


@contextlib.contextmanager
def found(key_id: str) -> Iterator[None]:
    """What a driver calls not found is this key."""
    try:
        yield
    except NotFound as exc:
        raise errors.KeyNotFound(key_id=key_id) from exc
