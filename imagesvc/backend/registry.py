"""Backends: kind and id -> driver, and the default of each kind."""

from collections.abc import Callable
from typing import Any, cast

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend import backend as backends
from imagesvc.backend import config, health, loader, store
from imagesvc.backend import kind as kinds
from imagesvc.interface import (
    audit_sink,
    backup,
    baremetal,
    base,
    catalog,
    compute,
    converter,
    encryption,
    identity,
    storage,
    volume,
)

Wrap = Callable[[storage.StorageDriver], storage.StorageDriver]

_FATAL = (loader.FailureKind.MISSING, loader.FailureKind.DUPLICATE)


class Backends:
    """All configured backends of this process; make a new one after a fork.

    Construction reads the configuration and imports the enabled drivers without other I/O.
    Raises ConfigurationError for what must stop the start: a wrong section of a kind, a driver
    that is not installed or installed twice, and a default storage or identity backend that
    cannot be built. Other backends that fail stay failed and are tried again by the monitor.
    With `refuse=False` a driver or backend that should stop the start only stays failed, for
    commands that show what is wrong.
    """

    def __init__(self, conf: cfg.ConfigOpts, *, refuse: bool = True) -> None:
        config.register(conf)
        self._refuse = refuse
        self._all: dict[str, dict[str, backends.Backend]] = {}
        self._default: dict[str, str | None] = {}
        for kind in kinds.KINDS:
            self._build(conf, kind)
        self.stores = self._describe_stores(conf)
        self._wrap: Wrap = lambda driver: driver
        self._wrapped: dict[storage.StorageDriver, storage.StorageDriver] = {}
        self._monitor = health.HealthMonitor(
            self._each(),
            interval_s=conf.backend.health_interval_s,
            timeout_s=conf.backend.health_timeout_s,
            pause_max_s=conf.backend.retry_pause_max_s,
        )

    def _build(self, conf: cfg.ConfigOpts, kind: kinds.Kind) -> None:
        enabled = config.enabled(conf, kind)
        default = config.default_id(conf, kind, tuple(enabled))
        found = loader.load(kind, enabled.values())
        self._default[kind.name] = default
        self._all[kind.name] = {}
        for backend_id, driver in enabled.items():
            backend = backends.Backend(
                conf, kind, backend_id, found[driver], default=backend_id == default
            )
            self._all[kind.name][backend_id] = backend
            failure = found[driver]
            fatal = isinstance(failure, loader.LoadFailure) and failure.kind in _FATAL
            if fatal and self._refuse:
                raise backend.refusal()
            backend.construct()
            self._refuse_if_essential(backend)

    def _describe_stores(self, conf: cfg.ConfigOpts) -> store.Stores:
        storage_kind = kinds.find("storage")
        found = []
        for backend_id, backend in self._all[storage_kind.name].items():
            section = storage_kind.section(backend_id)
            conf.register_opts(storage_kind.opts, group=section)
            found.append(
                store.Store(
                    id=backend_id,
                    driver=backend.status().driver,
                    default=backend.default,
                    **{option.dest: conf[section][option.dest] for option in store.OPTS},
                )
            )
        if (foreign_id := config.foreign_id(conf)) is not None:
            found.append(
                store.Store(
                    foreign_id, "http", read_only=True, description="foreign URLs", foreign=True
                )
            )
        return store.Stores.of(found)

    def _each(self) -> tuple[backends.Backend, ...]:
        return tuple(item for group in self._all.values() for item in group.values())

    def open(self, *, monitor: bool = True) -> None:
        """Start every backend, then the health monitor unless told not to; safe to repeat.

        Raises ConfigurationError if the default storage or identity backend does not start.
        """
        for backend in self._each():
            backend.open()
            self._refuse_if_essential(backend)
        if monitor:
            self._monitor.start()

    def close(self) -> None:
        """Stop the monitor and close every backend; safe to repeat."""
        self._monitor.stop()
        for backend in self._each():
            backend.close()

    def check(self) -> None:
        """Probe every backend now and wait for the answers; for commands, not for requests."""
        self._monitor.run_once()

    def ids(self, kind: str) -> tuple[str, ...]:
        """Ids of the enabled backends of a kind, in the operator's order."""
        return tuple(self._all[kinds.find(kind).name])

    def default_id(self, kind: str) -> str | None:
        """Id of the default backend of a kind; None if none is enabled."""
        return self._default[kinds.find(kind).name]

    def get(self, kind: str, backend_id: str | None = None) -> base.Driver:
        """Give a driver, the default one without an id. Raises BackendNotFound, BackendFailed."""
        return self._find(kind, backend_id).driver()

    def wrap_storage(self, wrap: Wrap) -> None:
        """From now on `storage` gives what `wrap` makes of a driver."""
        self._wrap, self._wrapped = wrap, {}

    def storage(self, backend_id: str | None = None) -> storage.StorageDriver:
        """Give a storage driver. Raises BackendNotFound, BackendFailed."""
        driver = cast(storage.StorageDriver, self.get("storage", backend_id))
        if driver not in self._wrapped:
            self._wrapped[driver] = self._wrap(driver)
        return self._wrapped[driver]

    def compute(self, backend_id: str | None = None) -> compute.ComputeDriver:
        """Give a compute driver. Raises BackendNotFound, BackendFailed."""
        return cast(compute.ComputeDriver, self.get("compute", backend_id))

    def volume(self, backend_id: str | None = None) -> volume.VolumeDriver:
        """Give a volume driver. Raises BackendNotFound, BackendFailed."""
        return cast(volume.VolumeDriver, self.get("volume", backend_id))

    def backup(self, backend_id: str | None = None) -> backup.BackupDriver:
        """Give a backup driver. Raises BackendNotFound, BackendFailed."""
        return cast(backup.BackupDriver, self.get("backup", backend_id))

    def baremetal(self, backend_id: str | None = None) -> baremetal.BaremetalDriver:
        """Give a bare-metal driver. Raises BackendNotFound, BackendFailed."""
        return cast(baremetal.BaremetalDriver, self.get("baremetal", backend_id))

    def encryption(self, backend_id: str | None = None) -> encryption.EncryptionDriver:
        """Give a KMS. Raises BackendNotFound, BackendFailed."""
        return cast(encryption.EncryptionDriver, self.get("encryption", backend_id))

    def identity(self, backend_id: str | None = None) -> identity.IdentityDriver:
        """Give the identity driver. Raises BackendNotFound, BackendFailed."""
        return cast(identity.IdentityDriver, self.get("identity", backend_id))

    def converter(self, backend_id: str | None = None) -> converter.ConverterDriver:
        """Give a converter. Raises BackendNotFound, BackendFailed."""
        return cast(converter.ConverterDriver, self.get("converter", backend_id))

    def audit_sinks(self) -> tuple[audit_sink.AuditSink, ...]:
        """Give the sinks that work; a failed one catches up when it is back."""
        return tuple(
            cast(audit_sink.AuditSink, backend.driver())
            for backend in self._all["audit_sink"].values()
            if not backend.failed
        )

    def catalogs(self) -> dict[str, catalog.CatalogDriver | None]:
        """Give the catalogs by their ids in the operator's order; None for one that failed."""
        return {
            backend_id: None if backend.failed else cast(catalog.CatalogDriver, backend.driver())
            for backend_id, backend in self._all["catalog"].items()
        }

    def describe(self) -> list[backends.BackendStatus]:
        """Describe all backends by kind and the operator's order; makes no probe."""
        return [backend.status() for backend in self._each()]

    def status(self, kind: str, backend_id: str | None = None) -> backends.BackendStatus:
        """Describe one backend. Raises BackendNotFound."""
        return self._find(kind, backend_id).status()

    def recipe(self, kind: str, backend_id: str) -> dict[str, Any]:
        """Say with what a backend's driver is made, for checks; the options may hold secrets.

        Raises BackendNotFound, BackendFailed.
        """
        return self._find(kind, backend_id).recipe()

    def unready(self) -> list[backends.BackendStatus]:
        """Describe the essential backends that do not work now; empty means ready."""
        return [
            backend.status()
            for backend in self._each()
            if backend.essential and not backend.healthy
        ]

    def _find(self, kind: str, backend_id: str | None) -> backends.Backend:
        wanted = backend_id or self._default[kinds.find(kind).name]
        found = self._all[kind].get(wanted or "")
        if found is None:
            raise errors.BackendNotFound(kind=kind, backend_id=wanted or "(default)")
        return found

    def _refuse_if_essential(self, backend: backends.Backend) -> None:
        if self._refuse and backend.essential and backend.failed:
            raise backend.refusal()
