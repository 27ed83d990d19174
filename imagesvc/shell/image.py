"""The command that shows how many copies an image has."""

import argparse
from typing import Any

from imagesvc.shell import command


class ShowImage(command.Show):
    """Show an image's disks, and how many good copies of them there are in which stores."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image, by id or name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its copies; what wants a look goes to stderr too."""
        image_id = self.client.find_image(parsed_args.image)
        found = self.client.get(f"/images/{image_id}")["image"]
        for text in found["warnings"]:
            self.app.stderr.write(f"warning: {text}\n")
        return command.fields(found)
