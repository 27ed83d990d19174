"""Laws of catalogs; see `imagesvc.interface.catalog`."""

import json

import msgspec

from imagesvc.interface import catalog, catalog_entry
from imagesvc.interface.catalog import CatalogCapability, CatalogDriver
from imagesvc.testing.conformance.base import DriverConformance

_OS_TYPES = {"Linux", "Windows", "Other"}


class CatalogConformance(DriverConformance):
    """Derive and give `driver`, of a catalog with at least one system and one family."""

    VERSION = catalog.VERSION
    CAPABILITY = CatalogCapability

    def test_versions_are_in_order_and_each_once(self, driver: CatalogDriver) -> None:
        """Nothing is listed twice with another set of architectures either."""
        found = list(driver.list_versions())
        assert found
        assert found == sorted(found)
        named = [(one.os_type, one.platform, one.version) for one in found]
        assert len(set(named)) == len(named)

    def test_versions_are_complete(self, driver: CatalogDriver) -> None:
        """Each has a type that is known, names, bits and an architecture."""
        for one in driver.list_versions():
            assert one.os_type in _OS_TYPES
            assert one.platform
            assert one.version
            assert one.bits in (32, 64)
            assert one.architectures
            assert list(one.architectures) == sorted(set(one.architectures))

    def test_families_are_in_order_of_their_ids(self, driver: CatalogDriver) -> None:
        """Each id once."""
        found = [one.family.id for one in driver.list_families()]
        assert found
        assert found == sorted(set(found))

    def test_entries_are_data(self, driver: CatalogDriver) -> None:
        """They can be written as JSON, are the same when they are read again, and say where they
        are from."""
        for one in driver.list_families():
            written = json.dumps(msgspec.to_builtins(one.family))
            assert catalog_entry.family(json.loads(written)) == one.family
            assert one.origin

    def test_a_family_with_a_problem_is_not_listed(self, driver: CatalogDriver) -> None:
        """Nor is another of its id from elsewhere."""
        wrong = {one.family for one in driver.list_problems()}
        assert not wrong & {one.family.id for one in driver.list_families()}

    def test_reading_again_gives_the_same(self, driver: CatalogDriver) -> None:
        """Also by another instance."""
        for reader in (driver, self.again(driver)):
            assert list(reader.list_versions()) == list(driver.list_versions())
            assert list(reader.list_families()) == list(driver.list_families())
            assert list(reader.list_problems()) == list(driver.list_problems())
