"""Configuration: the service's own options, the list of all, and how they are loaded.

Options of backends stand with the drivers; `list_opts` gathers everything for the sample.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend import config as backend_config
from imagesvc.service import DATABASE_OPTS, LIMIT_OPTS, QUOTA_OPTS, SERVICE_OPTS, WORKER_OPTS

CONF_VARIABLE = "IMAGESVC_CONF"
CONF_DEFAULT = Path("/etc/imagesvc/imagesvc.conf")


def list_opts() -> Iterator[tuple[str, tuple[cfg.Opt, ...]]]:
    """Every group and its options."""
    yield "service", SERVICE_OPTS
    yield "database", DATABASE_OPTS
    yield "limit", LIMIT_OPTS
    yield "quota", QUOTA_OPTS
    yield "worker", WORKER_OPTS
    yield from backend_config.list_opts()


def load(config_file: str | Path | None = None) -> cfg.ConfigOpts:
    """Read a configuration file: the one named, else $IMAGESVC_CONF, else the one in /etc.

    Raises ConfigurationError if it is missing or not readable.
    """
    wanted = Path(config_file or os.environ.get(CONF_VARIABLE) or CONF_DEFAULT)
    if not wanted.is_file():
        raise errors.ConfigurationError(
            f"There is no configuration file {wanted}. Name one with --config-file or in the "
            f"environment variable {CONF_VARIABLE}; a sample is etc/imagesvc/imagesvc.conf.sample."
        )
    conf = cfg.ConfigOpts()
    conf.register_opts(SERVICE_OPTS, group="service")
    conf.register_opts(DATABASE_OPTS, group="database")
    conf.register_opts(LIMIT_OPTS, group="limit")
    conf.register_opts(QUOTA_OPTS, group="quota")
    conf.register_opts(WORKER_OPTS, group="worker")
    backend_config.register(conf)
    try:
        conf(args=[], project="imagesvc", default_config_files=[str(wanted)])
    except (cfg.ConfigFileParseError, cfg.ConfigFileValueError) as exc:
        raise errors.ConfigurationError(f"{wanted}: {exc}") from exc
    return conf
