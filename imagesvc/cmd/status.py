"""imagesvc-status: checks before an upgrade, without a running service."""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.cmd import check, check_backend, check_tool, command_line, verdict

PROG = "imagesvc-status"


def upgrade_check(parsed: argparse.Namespace) -> int:
    """Check whether this release can work here; no backend is opened, no service need run.

    Configuration and policy, contract versions of the drivers, schema version, key files, missing
    tools: a verdict a line. Exit code: 0 ready (also with warnings), 1 something failed, 2 the
    configuration cannot be read.
    """
    return verdict.show(_verdicts(command_line.load(parsed)))


def _verdicts(conf: cfg.ConfigOpts) -> Iterator[verdict.Verdict]:
    try:
        backends = Backends(conf)
    except errors.ConfigurationError as exc:  # a finding like the others
        yield verdict.failed("backends", str(exc))
    else:
        yield from check.options(conf)
        yield from check_backend.contracts(backends)
        yield from check_tool.tools(conf)
    yield from check.schema(conf)
    yield from check.key_files(conf)


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser(PROG, "Check an installation of imagesvc.")
    nouns = parser.add_subparsers(metavar="NOUN", required=True)
    verbs = nouns.add_parser("upgrade").add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser("check", help=upgrade_check.__doc__, description=upgrade_check.__doc__)
    verb.set_defaults(act=upgrade_check)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one check."""
    parsed = _parser().parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    return command_line.run(PROG, lambda: int(parsed.act(parsed)))


if __name__ == "__main__":
    sys.exit(main())
