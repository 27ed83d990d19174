"""imagesvc-manage identity: projects, users and roles of the embedded identity."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.cmd import command_line
from imagesvc.interface import errors as driver_errors

VERBS = ("create_project", "create_user", "grant")


@contextlib.contextmanager
def _identity(parsed: argparse.Namespace) -> Iterator[Any]:
    """The identity backend, if it keeps users of its own. Raises ConfigurationError."""
    with contextlib.closing(Backends(command_line.load(parsed))) as backends:
        backends.open(monitor=False)
        driver = backends.identity()
        if not all(hasattr(driver, verb) for verb in VERBS):
            raise errors.ConfigurationError(
                "The configured identity backend keeps no users here; manage them where it does."
            )
        yield driver


def project_create(parsed: argparse.Namespace) -> int:
    """Make a project and print its id."""
    with _identity(parsed) as identity:
        print(identity.create_project(parsed.name))
    return 0


def user_create(parsed: argparse.Namespace) -> int:
    """Make a user, the password read from a file or from standard input; print its id."""
    password = _password(parsed.password_file)
    with _identity(parsed) as identity:
        print(identity.create_user(parsed.name, password))
    return 0


def grant(parsed: argparse.Namespace) -> int:
    """Give a user a role in a project."""
    with _identity(parsed) as identity:
        if parsed.create:
            with contextlib.suppress(driver_errors.AlreadyExists):
                identity.create_project(parsed.project)
            with contextlib.suppress(driver_errors.AlreadyExists):
                identity.create_user(parsed.user, _password(parsed.password_file))
        identity.grant(parsed.user, parsed.project, parsed.role)
    return 0


def _password(source: str) -> str:
    path = Path(source)
    if source != "-" and not path.is_file():
        raise errors.ConfigurationError(f"There is no password file {path}.")
    text = sys.stdin.read() if source == "-" else path.read_text("utf-8")
    password = text.rstrip("\r\n")
    if not password:
        raise errors.ConfigurationError("The password is empty.")
    return password


def add_parsers(nouns: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the noun `identity` with its verbs."""
    group = nouns.add_parser("identity").add_subparsers(metavar="WHAT", required=True)
    for noun, act in (("project", project_create), ("user", user_create)):
        verbs = group.add_parser(noun).add_subparsers(metavar="VERB", required=True)
        verb = verbs.add_parser("create", help=act.__doc__, description=act.__doc__)
        verb.add_argument("name")
        if noun == "user":
            _add_password(verb)
        verb.set_defaults(act=act)
    verb = group.add_parser("grant", help=grant.__doc__, description=grant.__doc__)
    for name in ("user", "project", "role"):
        verb.add_argument(name)
    verb.add_argument(
        "--create", action="store_true", help="make the user and the project where missing"
    )
    _add_password(verb)
    verb.set_defaults(act=grant)


def _add_password(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--password-file", metavar="FILE", default="-", help="default: -, standard input"
    )
