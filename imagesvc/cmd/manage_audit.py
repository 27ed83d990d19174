"""imagesvc-manage audit: whether the trail is whole."""

import argparse
import sys
import time
from collections.abc import Callable

from oslo_config import cfg

from imagesvc.cmd import command_line
from imagesvc.db import engine, metadata
from imagesvc.manager import audit_head, audit_verify, installation_key

PROGRESS_S = 5.0


def verify(parsed: argparse.Namespace) -> int:
    """Check every record and the chain; 1 if something was changed or is missing."""
    conf = command_line.load(parsed)
    database = engine.Database(conf.database.url)
    engine.check_schema(database)
    checker = audit_verify.Verifier(database, installation_key.audit(conf), print, _progress())
    try:
        verdict = checker.verify(parsed.head)
    finally:
        database.dispose()
    print(f"{verdict.sealed} records sealed, {verdict.unsealed} wait for a seal{_age(verdict)}")
    if verdict.head:
        print(f"head {verdict.head}")
    print(
        f"the trail is NOT whole, faults: {verdict.faults}"
        if verdict.faults
        else ("the trail is whole")
    )
    return 1 if verdict.faults else 0


def adopt(conf: cfg.ConfigOpts, before: str | None) -> None:
    """After an upgrade from the schema `before`: sign a trail that has no head yet."""
    if before is not None and before < audit_head.SCHEMA_VERSION:
        database = engine.Database(conf.database.url)
        audit_head.adopt(database, installation_key.audit(conf))
        database.dispose()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `verify`."""
    parser.add_argument(
        "--head",
        metavar="NUMBER:CHAIN",
        default="",
        help="the head that an earlier check printed: a database that was set back to an older "
        "state is seen by it",
    )


def _progress() -> Callable[[int], None]:
    told = time.monotonic()

    def tell(count: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_S:
            told = time.monotonic()
            print(f"{count} rows read", file=sys.stderr)

    return tell


def _age(verdict: audit_verify.Verdict) -> str:
    if verdict.unsealed_since is None:
        return ""
    age = (metadata.now() - verdict.unsealed_since).total_seconds()
    return f", the oldest since {verdict.unsealed_since:%Y-%m-%d %H:%M:%S} UTC ({age:.0f} s)"
