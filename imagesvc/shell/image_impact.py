"""The command that lists what uses an image."""

import argparse
from typing import Any

from imagesvc.shell import command

_LIST = (
    ("Kind", "kind"), ("ID", "id"), ("Name", "name"), ("Project", "project_id"), ("State", "state"),
)  # fmt: skip


class ImageImpact(command.List):
    """List what uses an image: servers, volumes, members, images made of it, jobs that read it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image, by id or name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """A line each; backends that did not answer go to stderr."""
        image_id = self.client.find_image(parsed_args.image)
        found = self.client.get(f"/images/{image_id}/impact")["impact"]
        for backend in found["unknown"]:
            self.app.stderr.write(f"warning: {backend} did not answer; what it has is not listed\n")
        members = [
            {"kind": "member", "project_id": one["project_id"], "state": one["status"]}
            for one in found["members"]
        ]
        return command.table(_LIST, [*found["uses"], *members])
