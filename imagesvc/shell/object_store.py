"""Commands on object stores: the keys by which the service reaches a project's buckets."""

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import Any

from imagesvc.shell import command
from imagesvc.shell.cloud import ShellError

_LIST = (
    ("ID", "id"), ("Name", "name"), ("Endpoint", "endpoint"), ("Region", "region"),
    ("Buckets", "buckets"),
)  # fmt: skip
ENVIRONMENT = "AWS_SECRET_ACCESS_KEY"


class CreateObjectStore(command.Show):
    """Keep the key of an S3 server for the project; the secret is asked for if nothing names it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Where it is and the key."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", help="name of the object store in the project")
        parser.add_argument(
            "--endpoint", required=True, metavar="URL", help="scheme, host and port"
        )
        parser.add_argument("--region", default="us-east-1", help="(default: us-east-1)")
        parser.add_argument(
            "--access-key", required=True, metavar="KEY", help="the access key's id"
        )
        parser.add_argument(
            "--secret-key-file", type=Path, metavar="FILE",
            help=f"file with the secret key (default: the environment's {ENVIRONMENT}, else it "
            "is asked for)",
        )  # fmt: skip
        parser.add_argument(
            "--bucket", action="append", default=[], dest="buckets",
            help="a bucket that may be used; may be repeated (default: all that the key opens)",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Keep it, then show it."""
        body = {
            "name": parsed_args.name,
            "endpoint": parsed_args.endpoint,
            "region": parsed_args.region,
            "buckets": parsed_args.buckets,
            "access_key": parsed_args.access_key,
            "secret_key": _secret(parsed_args.secret_key_file),
        }
        return command.fields(self.client.post("/object-stores", body)["object_store"])


class ListObjectStores(command.List):
    """List the project's object stores."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages."""
        found = self.client.items("/object-stores", "object_stores")
        rows = [{**one, "buckets": ", ".join(one["buckets"]) or "all"} for one in found]
        return command.table(_LIST, rows)


class ShowObjectStore(command.Show):
    """Show one object store, without its secret key."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The object store."""
        parser = super().get_parser(prog_name)
        parser.add_argument("object_store", help="object store, by id or name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its fields."""
        store_id = self.client.find_object_store(parsed_args.object_store)
        return command.fields(self.client.get(f"/object-stores/{store_id}")["object_store"])


class DeleteObjectStore(command.Command):
    """Forget object stores; jobs that still need one fail."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The object stores."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "object_stores", nargs="+", metavar="object-store", help="object store, by id or name"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Each in turn; the first failure ends the command."""
        for name in parsed_args.object_stores:
            self.client.delete(f"/object-stores/{self.client.find_object_store(name)}")


def _secret(file: Path | None) -> str:
    """Never an argument, which everybody on the machine could read."""
    if file is not None:
        try:
            return file.read_text("utf-8").strip()
        except (OSError, ValueError) as exc:
            raise ShellError(f"{file} cannot be read: {exc}.") from exc
    if ENVIRONMENT in os.environ:
        return os.environ[ENVIRONMENT]
    if not sys.stdin.isatty():
        raise ShellError(f"Name --secret-key-file, or set {ENVIRONMENT}.")
    return getpass.getpass("Secret key: ")
