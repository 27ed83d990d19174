"""The commands that delete an image, and that say until when it is provided."""

import argparse
from typing import Any
from urllib import parse

from imagesvc.shell import command

_BREAK = (
    "promised till later: do it all the same, for this reason, which is kept in the audit trail"
)


class DeleteImage(command.Command):
    """Delete an image."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image, and why although it is promised."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image, by id or name")
        parser.add_argument("--break-promise", metavar="REASON", help=_BREAK)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete it."""
        image_id = self.client.find_image(parsed_args.image)
        reason = parsed_args.break_promise
        wanted = "" if reason is None else f"?break_promise={parse.quote(reason)}"
        self.client.delete(f"/images/{image_id}{wanted}")


class PromiseImage(command.Show):
    """Say until when an image is provided, how often it is replaced, how long its id is good."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image and what is promised."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image, by id or name")
        parser.add_argument(
            "--provided-until", metavar="DATE", help="until the end of this day nothing deletes it"
        )
        parser.add_argument("--replace-frequency", metavar="WORD", help="such as monthly or never")
        parser.add_argument("--uuid-validity", metavar="WORD", help="such as last-3 or a date")
        parser.add_argument("--break-promise", metavar="REASON", help=_BREAK)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Set what is given; show the image."""
        image_id = self.client.find_image(parsed_args.image)
        names = ("provided_until", "replace_frequency", "uuid_validity", "break_promise")
        given = {name: getattr(parsed_args, name) for name in names}
        body = {name: value for name, value in given.items() if value is not None}
        found = self.client.patch(f"/images/{image_id}/promise", body)["image"]
        return command.fields(found, ("id", "name", "provided_until"))
