"""imagesvc-manage config check: would the service work as it is configured?"""

import argparse
from collections.abc import Iterator

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.cmd import check as checks
from imagesvc.cmd import check_backend, check_region, check_tool, command_line, verdict


def check(parsed: argparse.Namespace) -> int:
    """Look at everything that the service needs, a verdict a line: ok, warning or failed.

    Database and schema, key files, each backend, tools with versions, the sandbox, free space, each
    other region, whether images may stay at foreign URLs, and how many copies images have. Exit code: 0 nothing failed (also with warnings), 1
    something failed, 2 the configuration cannot be read.
    """
    return verdict.show(_verdicts(command_line.load(parsed)))


def _verdicts(conf: cfg.ConfigOpts) -> Iterator[verdict.Verdict]:
    yield from checks.schema(conf)
    yield from checks.key_files(conf)
    yield from _of_backends(conf)


def _of_backends(conf: cfg.ConfigOpts) -> Iterator[verdict.Verdict]:
    try:
        backends = Backends(conf)
    except errors.ConfigurationError as exc:  # a finding like the others
        yield verdict.failed("backends", str(exc))
        yield from checks.copies(conf, {})
        return
    yield from checks.options(conf)
    yield from checks.foreign(conf)
    yield from check_tool.tools(conf)
    try:
        backends.open(monitor=False)
    except errors.ConfigurationError as exc:  # a finding like the others
        yield verdict.failed("backends", str(exc))
    else:
        yield from check_backend.health(backends)
        yield from check_backend.sandbox(backends)
        yield from check_backend.space(conf, backends)
        yield from check_backend.doubts(backends)
    yield from checks.copies(conf, check_backend.kept(backends))
    yield from check_region.regions(conf)
    backends.close()
