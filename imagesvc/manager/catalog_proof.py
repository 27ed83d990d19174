"""Whether what a publisher says of a build is proven: signatures by the keys that an entry pins."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from imagesvc.domain.catalog import Signature
from imagesvc.interface.catalog import CatalogEntry
from imagesvc.interface.catalog_entry import Signature as Wanted
from imagesvc.manager.catalog_web import refused
from imagesvc.stream import openpgp
from imagesvc.stream.openpgp import Keyring, SignatureRefusedError, Signed

KEY_BYTES_MAX = 1 << 20


def of_list(
    entry: CatalogEntry,
    list_bytes: bytes,
    signature_bytes: bytes | None,
    *,
    again: bool = False,
) -> tuple[bytes, Signature | None]:
    """What of a list is signed, and by whom; all of it and None where lists are not signed.

    With `again` the list was believed before, and its key may have expired since. Raises
    CatalogRefused.
    """
    wanted = entry.family.source.signed
    if wanted is None or wanted.image is not None:
        return list_bytes, None
    ring = _ring(entry, wanted, again)
    if wanted.inline:
        found = _told(entry, "the list", lambda: openpgp.inline(list_bytes, ring))
        return found.data, _signature(found, list_bytes)
    beside = signature_bytes or b""
    found = _told(entry, "the list", lambda: openpgp.detached(list_bytes, beside, ring))
    return list_bytes, _signature(found, beside)


def of_image(
    entry: CatalogEntry, signature_bytes: bytes, path: Path | None = None, *, again: bool = False
) -> Signature:
    """Who signs the image; its bytes are judged only if there is a `path`. Raises CatalogRefused."""
    wanted = entry.family.source.signed
    if wanted is None:
        raise refused(entry.family.id, "its entry names no signature any more.")
    ring = _ring(entry, wanted, again)

    def judge() -> Signed:
        if path is None:
            return openpgp.claimed(signature_bytes, ring)
        return openpgp.detached(path, signature_bytes, ring)

    return _signature(_told(entry, "the image", judge), signature_bytes)


def _ring(entry: CatalogEntry, wanted: Wanted, again: bool) -> Keyring:
    files = []
    for key in entry.keys.values():
        try:
            with Path(key.path).open("rb") as file:
                files.append(file.read(KEY_BYTES_MAX))
        except OSError as exc:  # the operator's file, told to the operator
            cause = f"the key file {Path(key.path).name} cannot be read: {exc.strerror}."
            raise refused(entry.family.id, cause) from exc
    pinned = {one for key in entry.keys.values() for one in key.fingerprints}
    return Keyring(tuple(files), pinned, allow_expired_key=wanted.allow_expired_key or again)


def _told(entry: CatalogEntry, what: str, judge: Callable[[], Signed]) -> Signed:
    try:
        return judge()
    except SignatureRefusedError as exc:  # with what it is the signature of
        raise refused(entry.family.id, f"the signature of {what} is refused: {exc}") from exc


def _signature(found: Signed, data: bytes) -> Signature:
    return Signature(found.fingerprint, found.made_at, hashlib.sha256(data).hexdigest())
