"""The systems that images may have, as the catalogs know them."""

from collections.abc import Sequence

from imagesvc.context import RequestContext
from imagesvc.interface.catalog import CatalogDriver, OSVersion
from imagesvc.interface.errors import DriverError
from imagesvc.manager.catalog_entry import Catalogs
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer


class OSVersionManager:
    """For everybody who chooses a system."""

    def __init__(self, operation: Operation, enforcer: Enforcer, catalogs: Catalogs) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._catalogs = catalogs

    def list(self, ctx: RequestContext) -> tuple[OSVersion, ...]:
        """In order, each once with all its architectures; a catalog that fails is left out.

        Raises Forbidden.
        """
        with self._operation.look(ctx, "os_version:list", "os_version"):
            self._enforcer.authorize(ctx, "os_version:list")
        found: dict[tuple[str, str, str, int], set[str]] = {}
        for driver in self._catalogs().values():
            for one in _versions(driver):
                key = (one.os_type, one.platform, one.version, one.bits)
                found.setdefault(key, set()).update(one.architectures)
        return tuple(OSVersion(*key, tuple(sorted(found[key]))) for key in sorted(found))


def _versions(driver: CatalogDriver | None) -> Sequence[OSVersion]:
    try:
        return driver.list_versions() if driver else ()
    except DriverError:  # health tells of it, and the others are of use without it
        return ()
