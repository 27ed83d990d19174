"""The keys that families of the network are checked with: whether they are there, and for how long."""

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path

from imagesvc.context import RequestContext
from imagesvc.db import metadata
from imagesvc.interface.catalog import CatalogKey
from imagesvc.manager import catalog_proof
from imagesvc.manager.catalog_entry import CatalogEntries, Known
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer
from imagesvc.stream import openpgp
from imagesvc.stream.openpgp import Certificate, SignatureRefusedError

WARNING_DAYS = 60


@dataclasses.dataclass(frozen=True, slots=True)
class KeyDetail:
    """A key that entries name. `fault` says why nothing that it signs is believed, `warning` what
    will soon be one; `is_needed` if a family that `[catalog] families` names needs it."""

    id: str
    fingerprint: str
    expires_at: datetime.datetime | None
    families: tuple[str, ...]
    is_needed: bool
    fault: str = ""
    warning: str = ""


class CatalogKeys:
    """For administrators; reads the files of keys anew each time."""

    def __init__(self, operation: Operation, enforcer: Enforcer, entries: CatalogEntries) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._entries = entries

    def list(self, ctx: RequestContext) -> tuple[KeyDetail, ...]:
        """A detail for each pinned fingerprint, by the key's id. Raises Forbidden."""
        with self._operation.look(ctx, "catalog:list", "catalog"):
            self._enforcer.authorize(ctx, "catalog:list")
        users: dict[str, list[Known]] = {}
        for known in self._entries.all().values():
            signed = known.entry.family.source.signed if known.entry else None
            for name in signed.keys if signed else ():
                users.setdefault(name, []).append(known)
        now = metadata.now()
        return tuple(one for name in sorted(users) for one in _details(name, users[name], now))


def _details(name: str, users: Sequence[Known], now: datetime.datetime) -> list[KeyDetail]:
    families = tuple(one.family.id for one in users)
    needed = any(one.is_named for one in users)
    entries = [one.entry for one in users if one.entry]
    key = next((one.keys[name] for one in entries if name in one.keys), None)
    if key is None:
        fault = next((one.off for one in entries if name in one.off), "it is not there")
        return [KeyDetail(name, "", None, families, needed, fault)]
    signatures = [one.family.source.signed for one in entries]
    allowed = all(one.allow_expired_key for one in signatures if one)
    try:
        there = {one.fingerprint: one for one in _read(key)}
    except (OSError, SignatureRefusedError) as exc:  # told to the operator, whose file it is
        text = exc.strerror if isinstance(exc, OSError) else str(exc)
        return [KeyDetail(name, "", None, families, needed, f"its file cannot be read: {text}")]
    return [
        _detail(KeyDetail(name, one, None, families, needed), there.get(one), now, allowed)
        for one in key.fingerprints
    ]


def _detail(
    detail: KeyDetail, cert: Certificate | None, now: datetime.datetime, allowed: bool
) -> KeyDetail:
    if cert is None:
        return dataclasses.replace(detail, fault="its file has no key of this fingerprint")
    detail = dataclasses.replace(detail, expires_at=cert.expires_at)
    if cert.is_revoked:
        return dataclasses.replace(detail, fault="it is revoked")
    if cert.expires_at is None or allowed:
        return detail
    if cert.expires_at <= now:
        return dataclasses.replace(detail, fault=f"it has expired on {cert.expires_at:%Y-%m-%d}")
    if cert.expires_at <= now + datetime.timedelta(days=WARNING_DAYS):
        return dataclasses.replace(detail, warning=f"it expires on {cert.expires_at:%Y-%m-%d}")
    return detail


def _read(key: CatalogKey) -> tuple[Certificate, ...]:
    with Path(key.path).open("rb") as file:
        return openpgp.certificates(file.read(catalog_proof.KEY_BYTES_MAX))
