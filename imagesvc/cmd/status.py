"""imagesvc-status: checks before an upgrade, without a running service."""

import argparse
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from imagesvc import errors, service
from imagesvc.backend.registry import Backends
from imagesvc.cmd import command_line
from imagesvc.db import migrate

PROG = "imagesvc-status"
TOOLS = ("qemu-img", "qemu-system-x86_64", "bwrap", "prlimit")
PATH_MORE = ("/usr/sbin", "/sbin")


def _schema(conf: cfg.ConfigOpts) -> str:
    current, head = migrate.current(conf.database.url), migrate.head()
    if current == head:
        return ""
    return f"the database has schema {current or 'none'}, this release needs {head}: " + (
        "run imagesvc-manage db upgrade"
    )


def _key(conf: cfg.ConfigOpts) -> str:
    service.installation_key(conf)
    mode = Path(conf.service.key_file).stat().st_mode & 0o077
    return f"{conf.service.key_file} is readable by others: chmod 600 it" if mode else ""


def _tools(conf: cfg.ConfigOpts) -> str:
    missing = [
        tool
        for tool in TOOLS
        if not (shutil.which(tool) or any(Path(place, tool).exists() for place in PATH_MORE))
    ]
    return f"missing tools: {', '.join(missing)}" if missing else ""


def _backends(conf: cfg.ConfigOpts) -> str:
    backends = Backends(conf)
    backends.open(monitor=False)
    backends.check()
    bad = [
        f"{one.kind} {one.id} is {one.state}: {one.cause}"
        for one in backends.describe()
        if one.state != "ok"
    ]
    backends.close()
    return "; ".join(bad)


CHECKS = (("schema", _schema), ("key file", _key), ("tools", _tools), ("backends", _backends))


def upgrade_check(parsed: argparse.Namespace) -> int:
    """Check configuration, schema, key file, tools and backends; 1 if one of them fails."""
    conf = command_line.load(parsed)
    code = 0
    print(f"{'configuration':<14} ok")
    for name, check in CHECKS:
        try:
            fault = check(conf)
        except errors.ImagesvcError as exc:  # a finding like the others
            fault = str(exc)
        print(f"{name:<14} {fault or 'ok'}")
        code = 1 if fault else code
    return code


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
