"""imagesvc-manage identity: projects, users and roles of the embedded identity."""

import argparse
import sys
from pathlib import Path
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.cmd import command_line
from imagesvc.interface import errors as driver_errors

VERBS = ("create_project", "create_user", "grant")


def _identity(parsed: argparse.Namespace) -> Any:
    """The identity backend, if it keeps users of its own. Raises ConfigurationError."""
    backends = Backends(command_line.load(parsed))
    backends.open(monitor=False)
    driver = backends.identity()
    if not all(hasattr(driver, verb) for verb in VERBS):
        raise errors.ConfigurationError(
            "The configured identity backend keeps no users here; manage them where it does."
        )
    return driver


def project_create(parsed: argparse.Namespace) -> int:
    """Make a project and print its id."""
    identity = _identity(parsed)
    try:
        print(identity.create_project(parsed.name))
    except driver_errors.AlreadyExists:  # wanted there, and is there
        if not parsed.exist_ok:
            raise
        print(identity.find_project(parsed.name).project_id)
    return 0


def user_create(parsed: argparse.Namespace) -> int:
    """Make a user, the password read from a file or from standard input."""
    source = parsed.password_file
    text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    password = text.rstrip("\r\n")
    if not password:
        raise errors.ConfigurationError("The password is empty.")
    try:
        print(_identity(parsed).create_user(parsed.name, password))
    except driver_errors.AlreadyExists:  # wanted there, and is there
        if not parsed.exist_ok:
            raise
    return 0


def grant(parsed: argparse.Namespace) -> int:
    """Give a user a role in a project."""
    _identity(parsed).grant(parsed.user, parsed.project, parsed.role)
    return 0


def add_parsers(nouns: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the noun `identity` with its verbs."""
    group = nouns.add_parser("identity").add_subparsers(metavar="WHAT", required=True)
    for noun, act in (("project", project_create), ("user", user_create)):
        verbs = group.add_parser(noun).add_subparsers(metavar="VERB", required=True)
        verb = verbs.add_parser("create", help=act.__doc__, description=act.__doc__)
        verb.add_argument("name")
        verb.add_argument(
            "--exist-ok", action="store_true", help="an existing one is success, and left as it is"
        )
        if noun == "user":
            verb.add_argument(
                "--password-file", metavar="FILE", required=True, help="- is standard input"
            )
        verb.set_defaults(act=act)
    verb = group.add_parser("grant", help=grant.__doc__, description=grant.__doc__)
    for name in ("user", "project", "role"):
        verb.add_argument(name)
    verb.set_defaults(act=grant)
