"""Laws that every driver keeps, whatever its kind.

A driver author derives from the class of the kind and gives a fixture `driver`:

    class TestAcmeStorage(StorageConformance):
        @pytest.fixture
        def driver(self, tmp_path):
            return self.make(AcmeStorage, directory=str(tmp_path))
"""

import abc
import dataclasses
import enum
import inspect
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

import pytest

from imagesvc.interface import base
from imagesvc.testing.conformance.options import options_of

AnyDriver = TypeVar("AnyDriver", bound=base.Driver)
HEALTH_LIMIT_S = 2.0


class DriverConformance(abc.ABC):
    """Base of the suites: builds drivers, closes them, and holds the common laws.

    What a test class has to give is abstract. A class named Test... that lacks some of it is
    refused when it is defined, since pytest passes over abstract classes in silence.
    """

    VERSION: ClassVar[base.Version]
    CAPABILITY: ClassVar[type[enum.StrEnum]] = base.Capability

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        # Static, since a fixture that is looked up on its class comes back as another object.
        lacking = sorted(
            name
            for name in {name for parent in cls.__mro__ for name in vars(parent)}
            if getattr(inspect.getattr_static(cls, name), "__isabstractmethod__", False)
        )
        if lacking and cls.__name__.startswith("Test"):
            raise TypeError(f"{cls.__name__} has to give: {', '.join(lacking)}")

    @abc.abstractmethod
    @pytest.fixture
    def driver(self) -> base.Driver:
        """The driver under test, opened; every suite overrides it with `self.make(...)`."""

    @pytest.fixture(autouse=True)
    def _close_what_was_made(self) -> Iterator[None]:
        yield
        for driver in self.__dict__.get("_made", []):
            driver.close()

    def construct(
        self, driver_class: type[AnyDriver], backend_id: str = "test", **options: Any
    ) -> AnyDriver:
        """Build a driver without opening it."""
        driver = driver_class(options_of(driver_class, options), backend_id=backend_id)
        self.__dict__.setdefault("_made", []).append(driver)
        self.__dict__.setdefault("_recipe", {})[id(driver)] = (driver_class, backend_id, options)
        return driver

    def make(
        self, driver_class: type[AnyDriver], backend_id: str = "test", **options: Any
    ) -> AnyDriver:
        """Build a driver from the values of its section and open it; closed after the test."""
        driver = self.construct(driver_class, backend_id, **options)
        driver.open()
        return driver

    def recipe(self, driver: base.Driver) -> tuple[type[base.Driver], str, dict[str, Any]]:
        """Say with what `driver` was made: class, backend id, options."""
        made: dict[int, tuple[type[base.Driver], str, dict[str, Any]]] = self.__dict__["_recipe"]
        return made[id(driver)]

    def again(self, driver: AnyDriver) -> AnyDriver:
        """Make a second instance with the same section, as another process would have."""
        driver_class, backend_id, options = self.recipe(driver)
        return self.make(driver_class, backend_id, **options)  # type: ignore[return-value]

    def has(self, driver: base.Driver, capability: base.Capability) -> bool:
        """Whether the driver promises `capability`; the law's row of the table says it."""
        promised = capability in driver.info().capabilities
        self.note(f"{capability} {'promised' if promised else 'not promised'}")
        return promised

    def note(self, text: str) -> None:
        """Add a remark to the row of this law in the table after the run."""
        notes: list[str] = self.__dict__.setdefault("_notes", [])
        if text not in notes:
            notes.append(text)

    def test_the_driver_was_written_for_this_contract(self, driver: base.Driver) -> None:
        """`contract` has the major version of the suite and no higher minor."""
        assert driver.contract.major == self.VERSION.major
        assert driver.contract.minor <= self.VERSION.minor

    def test_every_option_is_explained(self, driver: base.Driver) -> None:
        """An option has a help text; its default, if any, passes its own type."""
        for option in driver.OPTS:
            assert option.help, f"option {option.name} has no help"
            if option.default is not None and "$" not in str(option.default):
                option.type(option.default)

    def test_secret_looking_options_are_marked_secret(self, driver: base.Driver) -> None:
        """Passwords, secrets and tokens are options with secret=True."""
        for option in driver.OPTS:
            if option.name.endswith(("password", "secret", "secret_key", "token")):
                assert option.secret, f"option {option.name} is not secret"

    def test_info_is_complete_and_the_same_each_time(self, driver: base.Driver) -> None:
        """`info` names the driver; its capabilities are those of the kind."""
        info = driver.info()
        assert info.name
        assert info.vendor
        assert info.version
        assert all(isinstance(item, self.CAPABILITY) for item in info.capabilities)
        assert all(isinstance(value, int) for value in info.limits.values())
        assert driver.info() == info

    def test_info_needs_no_open(self, driver: base.Driver) -> None:
        """`info` makes no I/O: it answers before `open`, and alike but for what is missing here."""
        driver_class, backend_id, options = self.recipe(driver)
        before, info = self.construct(driver_class, backend_id, **options).info(), driver.info()
        assert info.capabilities <= before.capabilities
        assert dataclasses.replace(before, capabilities=info.capabilities) == info

    def test_the_backend_id_is_kept(self, driver: base.Driver) -> None:
        """The driver knows under which id it was configured."""
        assert driver.backend_id == self.recipe(driver)[1]

    def test_a_driver_that_works_is_healthy(self, driver: base.Driver) -> None:
        """`health` is not DOWN, and comes within its time."""
        began = time.monotonic()
        health = driver.health()
        assert time.monotonic() - began < HEALTH_LIMIT_S
        assert health.state is not base.HealthState.DOWN, health.detail
        assert health.latency_ms >= 0

    def test_open_can_be_repeated(self, driver: base.Driver) -> None:
        """`open` is safe to repeat."""
        driver.open()
        assert driver.health().state is not base.HealthState.DOWN

    def test_close_can_be_repeated_and_undone(self, driver: base.Driver) -> None:
        """`close` is safe to repeat, and `open` brings the driver back."""
        driver.close()
        driver.close()
        driver.open()
        assert driver.health().state is not base.HealthState.DOWN

    def test_two_instances_live_side_by_side(self, driver: base.Driver) -> None:
        """Several processes configure the same backend at once."""
        other = self.again(driver)
        other.close()
        assert driver.health().state is not base.HealthState.DOWN

    def test_one_instance_serves_many_threads(self, driver: base.Driver) -> None:
        """The service calls one instance from many threads."""
        found: list[base.HealthState] = []
        threads = [
            threading.Thread(target=lambda: found.append(driver.health().state)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == len(threads)
        assert base.HealthState.DOWN not in found
