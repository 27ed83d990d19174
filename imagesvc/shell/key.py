"""Commands on keys of the KMS, under which images are encrypted."""

import argparse
from typing import Any

from imagesvc.shell import command, job_wait

_LIST = (
    ("ID", "id"), ("Name", "name"), ("KMS", "backend_id"), ("State", "state"),
    ("Version", "version"), ("Default", "default"),
)  # fmt: skip


class _OneKey(command.Show):
    """One key, by its id."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The key."""
        parser = super().get_parser(prog_name)
        parser.add_argument("key", help="id of the key")
        return parser


class ListKeys(command.List):
    """List the project's keys."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Of one KMS or of all."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--kms", metavar="ID", help="only of this encryption backend")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All of them."""
        return command.table(_LIST, self.client.get("/key", backend_id=parsed_args.kms)["keys"])


class CreateKey(command.Show):
    """Make a key; --default lets the project use it where no key is named."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Its name, and where."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", help="name of the key")
        parser.add_argument(
            "--kms", metavar="ID", help="encryption backend (default: the default one)"
        )
        parser.add_argument("--default", action="store_true", help="make it the project's default")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Make it, then show it."""
        body = {"name": parsed_args.name}
        if parsed_args.kms:
            body["backend_id"] = parsed_args.kms
        key = self.client.post("/key", body, idempotent=True)["key"]
        if parsed_args.default:
            key = self.client.patch(f"/key/{key['id']}", {"default": True})["key"]
        return command.fields(key)


class ShowKey(_OneKey):
    """Show a key."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its fields."""
        return command.fields(self.client.get(f"/key/{parsed_args.key}")["key"])


class SetKey(_OneKey):
    """Disable a key, enable it, or make it the project's default."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The key and what it is to be."""
        parser = super().get_parser(prog_name)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "--disable", action="store_true", help="images under it cannot be read any more"
        )
        what.add_argument("--enable", action="store_true", help="they can be read again")
        what.add_argument("--default", action="store_true", help="use it where no key is named")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Change it, then show it."""
        change = {"default": True} if parsed_args.default else {"enabled": parsed_args.enable}
        return command.fields(self.client.patch(f"/key/{parsed_args.key}", change)["key"])


class RotateKey(_OneKey):
    """Make a new version of a key; all data keys are wrapped anew, no image moves."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The key."""
        parser = super().get_parser(prog_name)
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait until it has ended."""
        answer = self.client.post(f"/key/{parsed_args.key}/rotate")
        job = answer["job"]
        if parsed_args.wait:
            job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        shown = {"job_id": job["id"], "job_state": job["state"]}
        return command.fields({**answer["key"], **shown})
