"""What all commands share: typed access to the client, and tables from lists of dicts."""

import argparse
from collections.abc import Iterable, Mapping
from typing import Any, cast

from cliff import command, lister, show

from imagesvc.shell import client as clients

Columns = tuple[tuple[str, str], ...]  # (heading, key)


def table(columns: Columns, rows: Iterable[Mapping[str, Any]]) -> tuple[Any, Any]:
    """Headings and rows for cliff."""
    return (
        tuple(heading for heading, _ in columns),
        [tuple(row.get(key) for _, key in columns) for row in rows],
    )


def fields(entity: Mapping[str, Any], names: Iterable[str] | None = None) -> tuple[Any, Any]:
    """Names and values of one thing for cliff, in the given order."""
    chosen = list(entity) if names is None else [name for name in names if name in entity]
    return tuple(chosen), tuple(entity[name] for name in chosen)


def _client(app: Any) -> clients.Client:
    return cast(clients.Client, app.client)


class Command(command.Command):
    """A command that prints nothing, or bytes."""

    @property
    def client(self) -> clients.Client:
        """The client of the chosen cloud."""
        return _client(self.app)


class List(lister.Lister):
    """A command that prints a table."""

    @property
    def client(self) -> clients.Client:
        """The client of the chosen cloud."""
        return _client(self.app)


class Show(show.ShowOne):
    """A command that prints one thing."""

    @property
    def client(self) -> clients.Client:
        """The client of the chosen cloud."""
        return _client(self.app)


def add_key(parser: argparse.ArgumentParser) -> None:
    """Option of commands that make images."""
    parser.add_argument(
        "--key", metavar="ID",
        help="encrypt the image under this key of the KMS, or under the project's `default` one",
    )  # fmt: skip


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Options of commands that start a job."""
    parser.add_argument(
        "--wait", action="store_true", help="wait until the job ends, with progress on stderr"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="how long to wait at most (default: 3600); the job goes on after that",
    )


def positive(text: str) -> int:
    """A number of one or more, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not one or more")
    return value
