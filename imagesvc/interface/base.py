"""The base of every driver: versions, capabilities, health, lifecycle.

A driver is a class; a backend is a driver with an id and a section of configuration.
The service makes one instance a backend and process, and calls it from many threads.
"""

import abc
import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from oslo_config import cfg


class Version(NamedTuple):
    """Version of one interface module.

    A driver loads when its major equals ours and its minor is not above ours.
    """

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class Capability(enum.StrEnum):
    """A whole feature that a driver may offer; each kind has its own members."""


class HealthState(enum.StrEnum):
    """What a probe found."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """Result of one probe; `detail` is for operators and holds no secret."""

    state: HealthState
    detail: str = ""
    latency_ms: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class DriverInfo:
    """What a driver is; made without I/O.

    `capabilities` are promises: each is tested by the conformance suite of its kind.
    `limits` are numbers by name, with the unit in the name (`object_bytes_max`).
    """

    name: str
    vendor: str
    version: str
    capabilities: frozenset[Capability] = frozenset()
    limits: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Driver(abc.ABC):
    """One configured backend.

    `contract` is the interface version that the class was written for. `OPTS` are the
    oslo.config options of its section, beside the code that reads them.
    """

    contract: ClassVar[Version]
    OPTS: ClassVar[tuple[cfg.Opt, ...]] = ()

    def __init__(self, options: Any, *, backend_id: str) -> None:
        """Take the values of this backend's own section as attributes of `options`.

        Cheap: no network, no disk. Raises InvalidConfiguration.
        """
        self.options = options
        self.backend_id = backend_id

    def open(self) -> None:  # noqa: B027 - optional to override
        """Connect and create what is missing; safe to repeat. May raise Unavailable."""

    def close(self) -> None:  # noqa: B027 - optional to override
        """Let go of connections; safe to repeat."""

    @abc.abstractmethod
    def info(self) -> DriverInfo:
        """Say what this driver is; no I/O. What `open` finds missing is no longer promised."""

    @abc.abstractmethod
    def health(self) -> Health:
        """Make one cheap real call, under 2 s. Whatever it raises means DOWN."""
