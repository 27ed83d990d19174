"""imagesvc-manage: what operators do to an installation on its own machine."""

import argparse
import logging
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imagesvc.cmd import (
    command_line,
    manage_audit,
    manage_backend,
    manage_catalog,
    manage_config,
    manage_identity,
    manage_image,
    manage_metadef,
    manage_quota,
    manage_server,
    manage_store,
)
from imagesvc.db import migrate

PROG = "imagesvc-manage"
KEY_BYTES = 32


def db_upgrade(parsed: argparse.Namespace) -> int:
    """Bring the database to the schema of this release; make the key file if it is missing."""
    conf = command_line.load(parsed)
    path = Path(conf.service.key_file)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(f"made the key file {path}: keep a copy of it in a safe place")
    before = migrate.current(conf.database.url)
    migrate.upgrade(conf.database.url)
    manage_audit.adopt(conf, before)
    print(f"database schema: {migrate.current(conf.database.url)}")
    return 0


def db_version(parsed: argparse.Namespace) -> int:
    """Show the schema of the database and that of this release; 1 if they differ."""
    conf = command_line.load(parsed)
    current, head = migrate.current(conf.database.url), migrate.head()
    print(f"database {current or 'empty'}, release {head}")
    return 0 if current == head else 1


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser(PROG, "Manage an installation of imagesvc.")
    nouns = parser.add_subparsers(metavar="NOUN", required=True)
    _add(nouns, "db", {"upgrade": db_upgrade, "version": db_version})
    _add(nouns, "config", {"check": manage_config.check})
    manage_backend.add_parsers(_add, nouns)
    audit = _add(nouns, "audit", {"verify": manage_audit.verify})
    manage_audit.add_arguments(audit["verify"])
    store = _add(nouns, "store", {"verify": manage_store.verify})
    store["verify"].add_argument(
        "--repair",
        action="store_true",
        help="give bytes that no row names to the reaper, if their image is or was ours",
    )
    image = _add(nouns, "image", {"scrub": manage_image.scrub})
    manage_image.add_arguments(image["scrub"])
    _add(nouns, "server", {"list": manage_server.list_running, "stop": manage_server.stop_running})
    manage_identity.add_parsers(nouns)
    manage_quota.add_parsers(nouns)
    manage_metadef.add_parsers(nouns)
    manage_catalog.add_parsers(_add, nouns)
    return parser


def _add(
    nouns: "argparse._SubParsersAction[argparse.ArgumentParser]",
    noun: str,
    verbs: Mapping[str, Callable[[argparse.Namespace], int]],
) -> dict[str, argparse.ArgumentParser]:
    group = nouns.add_parser(noun).add_subparsers(metavar="VERB", required=True)
    made = {}
    for verb, act in verbs.items():
        made[verb] = group.add_parser(verb, help=act.__doc__, description=act.__doc__)
        made[verb].set_defaults(act=act)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    parsed = _parser().parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    return command_line.run(PROG, lambda: int(parsed.act(parsed)))


if __name__ == "__main__":
    sys.exit(main())
