"""A driver's options from plain values; apart, so that child processes need no pytest."""

import types
from typing import Any

from oslo_config import cfg

from imagesvc.interface import base, errors


def options_of(driver_class: type[base.Driver], values: dict[str, Any]) -> Any:
    """Give a driver's options as the service would: checked values, defaults for the rest.

    Raises oslo.config's error for an unknown name or a value of the wrong type, and
    InvalidConfiguration for a required option without a value.
    """
    conf = cfg.ConfigOpts()
    conf.register_opt(cfg.StrOpt("state_dir", default="/nonexistent"), group="service")
    conf([], project="conformance", default_config_files=[], default_config_dirs=[])
    conf.register_opts(driver_class.OPTS, group="backend")
    for name, value in values.items():
        conf.set_override(name, value, group="backend")
    for option in driver_class.OPTS:
        if option.required and conf.backend[option.dest] is None:
            raise errors.InvalidConfiguration(f"option {option.dest} is not set")
    return types.SimpleNamespace(
        **{option.dest: getattr(conf.backend, option.dest) for option in driver_class.OPTS}
    )
