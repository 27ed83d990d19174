"""Sections of backends: `[<kind>] enabled_backends` and one `[<kind>_<id>]` a backend."""

import re
import types
from collections.abc import Iterator
from typing import Any

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend import kind as kinds
from imagesvc.backend import loader, secret_file, store
from imagesvc.interface import base
from imagesvc.interface import errors as driver_errors

DEFAULT_ID = "local"
_ID = re.compile(r"[a-z][a-z0-9]*")

OPTS = (
    cfg.FloatOpt(
        "health_interval_s",
        default=15.0,
        min=0.1,
        help="Seconds between two probes of each backend, and the first pause before a failed "
        "backend is tried again. Low values load the backends, high ones show faults late.",
    ),
    cfg.FloatOpt(
        "health_timeout_s",
        default=5.0,
        min=0.1,
        help="Seconds that one probe may take before its backend counts as down.",
    ),
    cfg.FloatOpt(
        "retry_pause_max_s",
        default=300.0,
        min=0.1,
        help="Longest pause in seconds between two attempts to start a failed backend; the "
        "pause doubles from health_interval_s up to this.",
    ),
)


class Options(types.SimpleNamespace):
    """The values of one backend's section; never shown, since some are secret."""

    def __repr__(self) -> str:
        return "Options(...)"


def kind_opts(kind: kinds.Kind) -> tuple[cfg.Opt, ...]:
    """Options of the section `[<kind>]`."""
    return (
        cfg.ListOpt(
            "enabled_backends",
            default=[f"{DEFAULT_ID}:{kind.default_driver}"],
            help=f"The {kind.name} backends, as id:driver, separated by commas; an id is a "
            f"letter and more letters or digits, all small. The backend's own options stand "
            f"in the section [{kind.name}_<id>].",
        ),
        cfg.StrOpt(
            "default_backend",
            help=f"Id of the {kind.name} backend that is used where none is named; not needed "
            "if one alone is enabled.",
        ),
    )


def section_opts(kind: kinds.Kind, driver_class: type[base.Driver]) -> tuple[cfg.Opt, ...]:
    """Options of one backend's section: the kind's, the driver's, and a `_file` twin a secret."""
    return (*kind.opts, *driver_class.OPTS, *secret_file.twins(driver_class.OPTS))


def register(conf: cfg.ConfigOpts) -> None:
    """Register `[backend]` and the section of each kind; safe to repeat."""
    conf.register_opts(OPTS, group="backend")
    conf.register_opts(store.LOCATION_OPTS, group="location")
    for kind in kinds.KINDS:
        conf.register_opts(kind_opts(kind), group=kind.name)


def list_opts() -> Iterator[tuple[str, tuple[cfg.Opt, ...]]]:
    """Yield (group, options) for the sample: kinds, and a section of each driver that comes along.

    The section of the default driver is that of its default id; others are called as they are.
    """
    yield "backend", OPTS
    yield "location", store.LOCATION_OPTS
    for kind in kinds.KINDS:
        yield kind.name, kind_opts(kind)
        sections = {kind.default_driver: DEFAULT_ID, **{name: name for name in kind.others}}
        loaded = loader.load(kind, list(sections))
        for driver, backend_id in sections.items():
            found = loaded[driver]
            if isinstance(found, loader.LoadedDriver):
                yield kind.section(backend_id), section_opts(kind, found.driver_class)


def enabled(conf: cfg.ConfigOpts, kind: kinds.Kind) -> dict[str, str]:
    """Give id -> driver name in the order of `enabled_backends`. Raises ConfigurationError."""
    found: dict[str, str] = {}
    for item in conf[kind.name].enabled_backends:
        backend_id, colon, driver = item.strip().partition(":")
        if not (colon and driver and _ID.fullmatch(backend_id)) or backend_id in found:
            raise errors.ConfigurationError(
                "[{kind}] enabled_backends: {item!r} is no id:driver with an id of its own. Write "
                "for example {default}:{driver}; an id is a letter and more letters or digits, "
                "all small.",
                kind=kind.name,
                item=item,
                default=DEFAULT_ID,
                driver=kind.default_driver,
            )
        found[backend_id] = driver
    return found


def foreign_id(conf: cfg.ConfigOpts) -> str | None:
    """Give the id of the store of foreign URLs, None without one. Raises ConfigurationError."""
    wanted: str | None = conf.location.foreign_store or None
    if wanted is None:
        return None
    if not _ID.fullmatch(wanted) or wanted in enabled(conf, kinds.find("storage")):
        raise errors.ConfigurationError(
            "[location] foreign_store is {wanted}; it is an id of its own, a letter and more letters "
            "or digits, all small, that no storage backend has.",
            wanted=wanted,
        )
    return wanted


def default_id(conf: cfg.ConfigOpts, kind: kinds.Kind, ids: tuple[str, ...]) -> str | None:
    """Give the id of the default backend, None if nothing is enabled.

    Raises ConfigurationError.
    """
    chosen: str | None = conf[kind.name].default_backend
    if chosen is None and len(ids) <= 1:
        if kind.essential and not ids:
            raise errors.ConfigurationError(
                "[{kind}] enabled_backends is empty; the service needs a {kind} backend, for "
                "example {default}:{driver}.",
                kind=kind.name,
                default=DEFAULT_ID,
                driver=kind.default_driver,
            )
        return ids[0] if ids else None
    if chosen not in ids:
        raise errors.ConfigurationError(
            "[{kind}] default_backend is {chosen}; set it to one of the enabled ids: {ids}.",
            kind=kind.name,
            chosen=chosen or "not set",
            ids=", ".join(ids) or "none",
        )
    return chosen


def options(
    conf: cfg.ConfigOpts, kind: kinds.Kind, backend_id: str, driver_class: type[base.Driver]
) -> Options:
    """Read one backend's own section. Raises InvalidConfiguration, which names the option."""
    section = kind.section(backend_id)
    conf.register_opts(section_opts(kind, driver_class), group=section)
    values: dict[str, Any] = {}
    for option in driver_class.OPTS:
        value = _value(conf, section, option)
        if value is None and option.required:
            raise driver_errors.InvalidConfiguration(f"option {option.dest} is not set")
        values[option.dest] = value
    return Options(**values)


def _value(conf: cfg.ConfigOpts, section: str, option: cfg.Opt) -> Any:
    try:
        value = conf[section][option.dest]
        twin = conf[section][secret_file.twin_name(option)] if option.secret else None
    except (ValueError, cfg.Error) as exc:
        # oslo.config says first, and at length, in which file the value stands.
        shown = type(exc).__name__ if option.secret else str(exc).rpartition(" is not valid: ")[2]
        raise driver_errors.InvalidConfiguration(
            f"option {option.dest} has no usable value: {shown}"
        ) from exc
    if twin is None:
        return value
    if value is not None:
        raise driver_errors.InvalidConfiguration(
            f"options {option.dest} and {option.dest}_file are both set"
        )
    try:
        return option.type(secret_file.read(twin))
    except (OSError, ValueError, secret_file.Exposed) as exc:
        raise driver_errors.InvalidConfiguration(
            f"option {option.dest}_file names {twin}, which cannot be used: {secret_file.said(exc)}"
        ) from exc
