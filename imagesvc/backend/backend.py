"""One configured backend: its driver, or the cause why it has none, and its last health."""

import dataclasses
import datetime
import enum
import logging
import threading
from typing import Any

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend import config, loader
from imagesvc.backend import kind as kinds
from imagesvc.interface import base
from imagesvc.interface import errors as driver_errors

LOG = logging.getLogger(__name__)


class BackendState(enum.StrEnum):
    """State of a backend in this process."""

    UNOPENED = "unopened"
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class BackendStatus:
    """What operators see of a backend; `cause` holds no secret."""

    kind: str
    id: str
    driver: str
    distribution: str
    version: str
    contract: str
    capabilities: tuple[str, ...]
    state: BackendState
    since: datetime.datetime
    latency_ms: float
    cause: str
    default: bool


class Backend:
    """A driver with an id and a section. Its state is guarded by its own lock."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        kind: kinds.Kind,
        backend_id: str,
        found: loader.LoadedDriver | loader.LoadFailure,
        *,
        default: bool,
    ) -> None:
        self.kind = kind
        self.backend_id = backend_id
        self.default = default
        self._conf = conf
        self._found = found
        self._lock = threading.Lock()
        self._driver: base.Driver | None = None
        self._capabilities: tuple[str, ...] = ()
        self._state = BackendState.UNOPENED
        self._since = datetime.datetime.now(datetime.UTC)
        self._latency_ms = 0.0
        self._cause = ""
        if isinstance(found, loader.LoadFailure):
            self.record(BackendState.FAILED, found.cause)

    @property
    def essential(self) -> bool:
        """Whether the service cannot work without this one."""
        return self.default and self.kind.essential

    @property
    def failed(self) -> bool:
        """Whether it did not start."""
        return self._state is BackendState.FAILED

    @property
    def curable(self) -> bool:
        """Whether another attempt to start may go through in this process."""
        return isinstance(self._found, loader.LoadedDriver)

    @property
    def healthy(self) -> bool:
        """Whether it can be worked with as far as is known."""
        return self._state not in (BackendState.DOWN, BackendState.FAILED)

    def driver(self) -> base.Driver:
        """Give the driver. Raises BackendFailed."""
        driver = self._driver
        if driver is None or self.failed:
            raise errors.BackendFailed(kind=self.kind.name, backend_id=self.backend_id)
        return driver

    def recipe(self) -> dict[str, Any]:
        """Kind, contract version, class, id and option values; the values may hold secrets.

        Raises BackendFailed.
        """
        driver = self.driver()
        return {
            "kind": self.kind.name,
            "version": self.kind.version,
            "driver_class": type(driver),
            "backend_id": self.backend_id,
            "options": vars(driver.options),
        }

    def construct(self) -> None:
        """Make the driver from its section, without I/O; a failure is kept as the state."""
        if isinstance(self._found, loader.LoadFailure) or self._driver is not None:
            return
        driver_class = self._found.driver_class
        try:
            options = config.options(self._conf, self.kind, self.backend_id, driver_class)
            driver = driver_class(options, backend_id=self.backend_id)
            self._capabilities = tuple(sorted(driver.info().capabilities))
            self._driver = driver
        except Exception as exc:  # a driver's fault stays with its backend
            self.record(BackendState.FAILED, _said(exc))

    def open(self) -> None:
        """Start the backend, also a failed one again; a failure is kept as the state."""
        self.construct()
        if self._driver is None:
            return
        try:
            self._driver.open()
            self._capabilities = tuple(sorted(self._driver.info().capabilities))
        except Exception as exc:  # a driver's fault stays with its backend
            self.record(BackendState.FAILED, _said(exc))
        else:
            if self._state in (BackendState.FAILED, BackendState.UNOPENED):
                self.record(BackendState.OK, "")

    def probe(self) -> base.Health:
        """Ask the driver for its health; whatever it raises means DOWN."""
        try:
            return self.driver().health()
        except Exception as exc:  # a driver's fault stays with its backend
            return base.Health(base.HealthState.DOWN, _said(exc))

    def close(self) -> None:
        """Close the driver; a fault is logged and stays with its backend."""
        driver, self._driver = self._driver, None
        self._state = BackendState.UNOPENED if not self.failed else self._state
        if driver is None:
            return
        try:
            driver.close()
        except Exception as exc:  # a driver's fault stays with its backend
            LOG.warning(
                "A backend did not close cleanly kind=%s id=%s cause=%s",
                self.kind.name,
                self.backend_id,
                _said(exc),
            )

    def record(self, state: BackendState, cause: str, latency_ms: float = 0.0) -> None:
        """Keep a new state; a change of state, or of a failure's cause, is logged once."""
        with self._lock:
            changed = state is not self._state
            news = changed or (state is BackendState.FAILED and cause != self._cause)
            if changed:
                self._since = datetime.datetime.now(datetime.UTC)
            self._state, self._cause, self._latency_ms = state, cause, latency_ms
        if news:
            level = logging.INFO if state is BackendState.OK else logging.WARNING
            LOG.log(
                level,
                "A backend changed state kind=%s id=%s state=%s cause=%s",
                self.kind.name,
                self.backend_id,
                state,
                cause or "-",
            )

    def status(self) -> BackendStatus:
        """Describe the backend as it is now."""
        found = self._found
        with self._lock:
            return BackendStatus(
                kind=self.kind.name,
                id=self.backend_id,
                driver=found.driver,
                distribution=found.distribution,
                version=found.version,
                contract=_contract(found),
                capabilities=self._capabilities,
                state=self._state,
                since=self._since,
                latency_ms=self._latency_ms,
                cause=self._cause,
                default=self.default,
            )

    def refusal(self) -> errors.ConfigurationError:
        """Make the message with which the service refuses to start."""
        return errors.ConfigurationError(
            "The {kind} backend {backend_id} cannot be used (section [{section}], driver "
            "{driver}): {cause}. {cure}",
            kind=self.kind.name,
            backend_id=self.backend_id,
            section=self.kind.section(self.backend_id),
            driver=self._found.driver,
            cause=self._cause.rstrip("."),
            cure=self._cure(),
        )

    def _cure(self) -> str:
        if isinstance(self._found, loader.LoadFailure):
            return (
                f"Install or repair the driver, or name another one in [{self.kind.name}] "
                "enabled_backends."
            )
        return (
            f"Correct the section [{self.kind.section(self.backend_id)}] or what it points to, "
            "then start again."
        )


def _contract(found: loader.LoadedDriver | loader.LoadFailure) -> str:
    if isinstance(found, loader.LoadFailure):
        return found.contract
    return str(found.driver_class.contract)


def _said(exc: BaseException) -> str:
    if isinstance(exc, driver_errors.DriverError):
        return exc.operator_message
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
