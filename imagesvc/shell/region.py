"""Commands on other regions: which there are, and copies of images into them."""

import argparse
from typing import Any

from imagesvc.shell import command, job_wait

_LIST = (("ID", "id"), ("Name", "name"), ("Endpoint", "endpoint"))


class ListRegions(command.List):
    """List the other regions that images may be copied to."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """In the order of the operator's configuration."""
        return command.table(_LIST, self.client.get("/regions")["regions"])


class CopyImageToRegion(command.Show):
    """Copy an image into a project of another region, which has an agency for this project."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image, where to, and what it is called there."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image, by id or name")
        parser.add_argument("region", help="the other region, by id or name")
        parser.add_argument(
            "--project", required=True, help="the project there, by id or name"
        )  # fmt: skip
        parser.add_argument("--name", help="name there (default: the image's)")
        parser.add_argument("--description", help="description there (default: the image's)")
        parser.add_argument(
            "--image-id", dest="target_image_id", metavar="ID", help="id there (default: a new one)"
        )
        parser.add_argument(
            "--key", dest="key_id", metavar="KEY", help="key there that encrypts the image"
        )
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait until the image is active there."""
        names = ("region", "project", "name", "description", "target_image_id", "key_id")
        given = {name: getattr(parsed_args, name) for name in names}
        body = {name: value for name, value in given.items() if value is not None}
        image_id = self.client.find_image(parsed_args.image)
        path = f"/images/{image_id}/region-copy"
        job = self.client.post(path, body, idempotent=True)["job"]
        if parsed_args.wait:
            job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        shown = {"job_id": job["id"], "state": job["state"], **job["result"]}
        if shown.pop("has_namesake", False):
            shown["note"] = "the project there has another image of that name"
        return command.fields(shown)
