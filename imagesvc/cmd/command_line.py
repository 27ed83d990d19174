"""What the operators' commands share: --config-file, and one clear line instead of a trace."""

import argparse
import os
import sys
from collections.abc import Callable

from oslo_config import cfg

from imagesvc import errors, opts
from imagesvc.interface import errors as driver_errors

EXIT_REFUSED = 2


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser with the option that all commands have."""
    made = argparse.ArgumentParser(prog=prog, description=description)
    made.add_argument(
        "--config-file",
        metavar="FILE",
        help=f"configuration (default: ${opts.CONF_VARIABLE}, else {opts.CONF_DEFAULT})",
    )
    return made


def load(parsed: argparse.Namespace) -> cfg.ConfigOpts:
    """Read the configuration, and name it to whatever this process starts."""
    if parsed.config_file:
        os.environ[opts.CONF_VARIABLE] = os.path.realpath(parsed.config_file)
    return opts.load()


def run(prog: str, act: Callable[[], int]) -> int:
    """Do `act`; what the operator can mend is one line on stderr and exit code 2."""
    try:
        return act()
    except (errors.ImagesvcError, driver_errors.DriverError) as exc:
        text = getattr(exc, "operator_message", str(exc))
        print(f"{prog}: {text}", file=sys.stderr)
        return EXIT_REFUSED
