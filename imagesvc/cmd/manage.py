"""imagesvc-manage: what operators do to an installation on its own machine."""

import argparse
import logging
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imagesvc import service
from imagesvc.backend.registry import Backends
from imagesvc.cmd import command_line, manage_identity, manage_server, manage_store
from imagesvc.db import engine, migrate
from imagesvc.manager import audit_verify

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
    migrate.upgrade(conf.database.url)
    print(f"database schema: {migrate.current(conf.database.url)}")
    return 0


def db_version(parsed: argparse.Namespace) -> int:
    """Show the schema of the database and that of this release; 1 if they differ."""
    conf = command_line.load(parsed)
    current, head = migrate.current(conf.database.url), migrate.head()
    print(f"database {current or 'empty'}, release {head}")
    return 0 if current == head else 1


def config_check(parsed: argparse.Namespace) -> int:
    """Build the service as it would start, and stop there."""
    conf = command_line.load(parsed)
    built = service.build(conf, monitor=False)
    built.close()
    print("the configuration is usable")
    return 0


def backend_list(parsed: argparse.Namespace) -> int:
    """Show each backend, its driver and its state after one probe; 1 if one does not work."""
    backends = Backends(command_line.load(parsed))
    backends.open(monitor=False)
    backends.check()
    found = backends.describe()
    backends.close()
    row = "{:<11} {:<10} {:<10} {:<14} {:<9} {:<9} {:<9} {}"
    print(row.format("KIND", "ID", "DRIVER", "FROM", "VERSION", "CONTRACT", "STATE", "CAN"))
    for one in found:
        can = ", ".join(one.capabilities) or "-"
        print(
            row.format(
                one.kind, one.id, one.driver, one.distribution, one.version, one.contract,
                one.state, can,
            )
        )  # fmt: skip
        if one.cause:
            print(f"            cause: {one.cause}")
    return 0 if all(one.state == "ok" for one in found) else 1


def backend_check(parsed: argparse.Namespace) -> int:
    """Open one backend and probe it."""
    backends = Backends(command_line.load(parsed))
    backends.open(monitor=False)
    backends.check()
    one = backends.status(parsed.kind, parsed.id)
    backends.close()
    print(f"{one.kind} {one.id}: {one.state}, {one.latency_ms:.1f} ms{_because(one.cause)}")
    return 0 if one.state == "ok" else 1


def _because(cause: str) -> str:
    return f", {cause}" if cause else ""


def audit_verify_(parsed: argparse.Namespace) -> int:
    """Check every record and the chain; 1 if something was changed or is missing."""
    conf = command_line.load(parsed)
    database = engine.Database(conf.database.url)
    engine.check_schema(database)
    verdict = audit_verify.verify(database, service.audit_key(conf))
    database.dispose()
    for text in verdict.complaints:
        print(text)
    tail = f", the oldest of {verdict.unsealed_since:%Y-%m-%d %H:%M:%S} UTC" if (
        verdict.unsealed_since
    ) else ""
    print(f"{verdict.sealed} records sealed, {verdict.unsealed} wait for a seal{tail}")
    print("the trail is NOT whole" if verdict.complaints else "the trail is whole")
    return 1 if verdict.complaints else 0


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser(PROG, "Manage an installation of imagesvc.")
    nouns = parser.add_subparsers(metavar="NOUN", required=True)
    _add(nouns, "db", {"upgrade": db_upgrade, "version": db_version})
    _add(nouns, "config", {"check": config_check})
    backend = _add(nouns, "backend", {"list": backend_list, "check": backend_check})
    backend["check"].add_argument("kind")
    backend["check"].add_argument("id", nargs="?")
    _add(nouns, "audit", {"verify": audit_verify_})
    store = _add(nouns, "store", {"verify": manage_store.verify})
    store["verify"].add_argument(
        "--repair",
        action="store_true",
        help="give bytes that no row names to the reaper, if their image is or was ours",
    )
    _add(nouns, "server", {"list": manage_server.list_running, "stop": manage_server.stop_running})
    manage_identity.add_parsers(nouns)
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
