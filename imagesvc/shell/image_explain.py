"""The command that says why a project can or cannot see, use or change an image."""

import argparse
from typing import Any

from imagesvc.shell import command

_LIST = (("Action", "action"), ("Allowed", "allowed"), ("Why", "cause"), ("Rule", "rule"))


class ExplainImage(command.List):
    """Say why a project can or cannot see, use or change an image (owners and administrators)."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image and the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image, by id or name")
        parser.add_argument("--project", required=True, metavar="ID", help="id of the project")
        parser.add_argument(
            "--role", action="append", dest="roles", metavar="ROLE",
            help="role that the project's user has; may be repeated (default: member)",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """A line an action."""
        image_id = self.client.find_image(parsed_args.image)
        roles = ",".join(parsed_args.roles or ["member"])
        path = f"/images/{image_id}/explain"
        found = self.client.get(path, project=parsed_args.project, roles=roles)["explanation"]
        return command.table(_LIST, found["verdicts"])
