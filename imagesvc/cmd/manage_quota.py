"""imagesvc-manage quota: limits of projects, and whether what is counted is true."""

import argparse
import contextlib

from imagesvc import context, service
from imagesvc.cmd import command_line
from imagesvc.db import engine
from imagesvc.domain.quota import UNLIMITED, Quota, Resource
from imagesvc.interface.identity import IdentityCapability, IdentityDriver
from imagesvc.manager import quota_verify

DEFAULT = "default"
ROW = "{:<13} {:>20} {:>20} {:>20} {}"


def show(parsed: argparse.Namespace) -> int:
    """Show limits and use of a project, named by its id or its name."""
    with contextlib.closing(service.build(command_line.load(parsed), monitor=False)) as built:
        project_id = _project(built.identity, parsed.project)
        _print(built.quotas.show(context.service_context(), project_id))
    return 0


def set_(parsed: argparse.Namespace) -> int:
    """Set limits of a project; those that are not named stay."""
    limits = {
        resource: None if value == DEFAULT else value
        for resource in Resource
        if (value := getattr(parsed, resource)) is not None
    }
    with contextlib.closing(service.build(command_line.load(parsed), monitor=False)) as built:
        project_id = _project(built.identity, parsed.project)
        _print(built.quotas.set_limits(context.service_context(), project_id, limits))
    return 0


def verify(parsed: argparse.Namespace) -> int:
    """Count everything anew; 1 if a counter was wrong."""
    database = engine.Database(command_line.load(parsed).database.url)
    engine.check_schema(database)
    found = quota_verify.verify(database, mend=parsed.mend)
    database.dispose()
    for one in found:
        print(
            f"project {one.project_id}, {one.resource}: counted {one.counted[0]} used and "
            f"{one.counted[1]} reserved, there are {one.actual[0]} and {one.actual[1]}"
        )
    verdict = "were mended" if parsed.mend else "are wrong; --mend sets them right"
    print(f"{len(found)} counters {verdict}" if found else "all counters are right")
    return 1 if found else 0


def add_parsers(nouns: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the noun `quota` with its verbs."""
    verbs = nouns.add_parser("quota").add_subparsers(metavar="VERB", required=True)
    for name, act in (("show", show), ("set", set_), ("verify", verify)):
        verb = verbs.add_parser(name, help=act.__doc__, description=act.__doc__)
        verb.set_defaults(act=act)
        if name == "verify":
            verb.add_argument("--mend", action="store_true", help="set wrong counters right")
            continue
        verb.add_argument("project", metavar="PROJECT")
        for resource in Resource if name == "set" else ():
            verb.add_argument(
                f"--{resource.replace('_', '-')}",
                metavar="N",
                type=_limit,
                help=f"-1: no limit; {DEFAULT}: what [quota] {resource} says",
            )


def _project(identity: IdentityDriver, named: str) -> str:
    """The id of a project; where names cannot be looked up it is the id that was given."""
    if IdentityCapability.LOOKUP not in identity.info().capabilities:
        return named
    return identity.find_project(named).project_id


def _limit(text: str) -> int | str:
    if text == DEFAULT:
        return text
    value = int(text)
    if not UNLIMITED <= value < 2**63:
        raise ValueError(text)
    return value


def _print(found: tuple[Quota, ...]) -> None:
    print(ROW.format("RESOURCE", "USED", "RESERVED", "LIMIT", "FROM"))
    for one in found:
        limit = "none" if one.limit == UNLIMITED else one.limit
        source = "project" if one.own else "default"
        print(ROW.format(one.resource, one.used, one.reserved, limit, source))
