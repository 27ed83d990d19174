"""Configuration: the service's own options, the list of all, and how they are loaded.

Options of backends stand with the drivers; `list_opts` gathers everything for the sample.
The environment wins over the file: OS_<GROUP>__<OPTION> names an option of either.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from oslo_config import cfg

from imagesvc import errors
from imagesvc.api import pace
from imagesvc.api.middleware import accel
from imagesvc.api.native import metric
from imagesvc.backend import config as backend_config
from imagesvc.backend import kind as kinds
from imagesvc.backend import secret_file
from imagesvc.manager import bucket, catalog_option, import_option, upload_option
from imagesvc.service_option import (
    BIN_OPTS,
    DATABASE_OPTS,
    LIMIT_OPTS,
    LOG_OPTS,
    QUOTA_OPTS,
    SERVICE_OPTS,
)
from imagesvc.stream import fetch_rule, peer_option
from imagesvc.stream import option as image_option
from imagesvc.worker import option as worker_option

CONF_VARIABLE = "IMAGESVC_CONF"
CONF_DEFAULT = Path("/etc/imagesvc/imagesvc.conf")


OWN = (
    ("service", SERVICE_OPTS),
    ("database", DATABASE_OPTS),
    ("api", (*pace.API_OPTS, *accel.OPTS)),
    ("image", image_option.OPTS),
    ("limit", LIMIT_OPTS),
    ("quota", QUOTA_OPTS),
    ("bin", BIN_OPTS),
    ("fetch", fetch_rule.OPTS),
    ("import", import_option.IMPORT_OPTS),
    ("upload", upload_option.OPTS),
    ("object_store", bucket.OPTS),
    ("worker", worker_option.WORKER_OPTS),
    ("log", LOG_OPTS),
    ("metrics", metric.OPTS),
    ("catalog", catalog_option.OPTS),
)


def list_opts() -> Iterator[tuple[str, tuple[cfg.Opt, ...]]]:
    """Every group and its options, each group once."""
    found: dict[str, tuple[cfg.Opt, ...]] = {}
    for group, options in (*OWN, (peer_option.section("west"), peer_option.OPTS)):
        found[group] = (*options, *secret_file.twins(options))
    for group, more in backend_config.list_opts():
        found[group] = (*found.get(group, ()), *more)
    yield from found.items()


def load(config_file: str | Path | None = None) -> cfg.ConfigOpts:
    """Read a configuration file: the one named, else $IMAGESVC_CONF, else the one in /etc.

    Raises ConfigurationError if it is missing or not readable, or a secret's file is not.
    """
    wanted = Path(config_file or os.environ.get(CONF_VARIABLE) or CONF_DEFAULT)
    if not wanted.is_file():
        raise errors.ConfigurationError(
            f"There is no configuration file {wanted}. Name one with --config-file or in the "
            f"environment variable {CONF_VARIABLE}; a sample is etc/imagesvc/imagesvc.conf.sample."
        )
    conf = cfg.ConfigOpts()
    _register(conf, OWN)
    backend_config.register(conf)
    try:
        conf(args=[], project="imagesvc", default_config_files=[str(wanted)])
    except (cfg.ConfigFileParseError, cfg.ConfigFileValueError) as exc:
        raise errors.ConfigurationError(f"{wanted}: {exc}") from exc
    regions = [(peer_option.section(one), peer_option.OPTS) for one in peer_option.ids(conf)]
    _register(conf, regions)
    for group, options in (*OWN, *regions):
        for option in options:
            if option.secret and conf[group][secret_file.twin_name(option)]:
                _take_from_file(conf, group, option)
            _check(conf, group, option)
    return conf


def _register(conf: cfg.ConfigOpts, sections: Iterable[tuple[str, tuple[cfg.Opt, ...]]]) -> None:
    for group, options in sections:
        conf.register_opts((*options, *secret_file.twins(options)), group=group)


def _check(conf: cfg.ConfigOpts, group: str, option: cfg.Opt) -> None:
    """Look at a value once, since those of the environment are checked at use alone."""
    try:
        conf[group][option.dest]
    except (ValueError, cfg.Error) as exc:
        shown = type(exc).__name__ if option.secret else exc
        raise errors.ConfigurationError(
            f"[{group}] {option.dest} has no usable value: {shown}"
        ) from exc


def _take_from_file(conf: cfg.ConfigOpts, group: str, option: cfg.Opt) -> None:
    """Set a secret option to what its twin's file holds. Raises ConfigurationError."""
    name = secret_file.twin_name(option)
    found = conf.get_location(option.dest, group)
    if found is None or found.location is not cfg.Locations.opt_default:
        raise errors.ConfigurationError(f"[{group}] {option.dest} and {name} are both set.")
    path = conf[group][name]
    try:
        value = secret_file.read(path)
    except (OSError, ValueError, secret_file.Exposed) as exc:
        raise errors.ConfigurationError(
            f"[{group}] {name} names {path}, which cannot be used: {secret_file.said(exc)}."
        ) from exc
    conf.set_override(option.dest, value.replace("$", "$$"), group=group)


def groups(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """Groups that are registered by now: ours, and the sections of the backends built."""
    own = [group for group, _ in OWN]
    own += [peer_option.section(one) for one in peer_option.ids(conf)]
    kinds_ = [group for group, _ in backend_config.list_opts()]
    enabled = [
        kind.section(backend_id)
        for kind in kinds.KINDS
        for backend_id in backend_config.enabled(conf, kind)
    ]
    return tuple(group for group in dict.fromkeys(own + kinds_ + enabled) if group in conf)


def twins(conf: cfg.ConfigOpts, group: str) -> tuple[str, ...]:
    """Names of the options of a group that name the file of a secret."""
    return tuple(name for name in conf[group] if secret_file.is_twin(name, conf[group]))


def unread(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """Options in the configuration files that nothing reads: mistyped, or of another release.

    The backends must have been built, since their sections are known only then.
    """
    sections: dict[str, dict[str, list[str]]] = {}
    for path in conf.config_file:
        cfg.ConfigParser(path, sections).parse()
    return tuple(
        f"[{group}] {name}"
        for group, options in sections.items()
        for name in options
        if group not in conf or name.replace("-", "_") not in conf[group]
    )
