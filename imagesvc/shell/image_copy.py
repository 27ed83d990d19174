"""The command that makes an image of another one."""

import argparse
from typing import Any

from imagesvc.shell import command, job_wait


class CopyImage(command.Show):
    """Make a private image of the project's with the bytes of one that it may read."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The source, and what the copy is called."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image to copy, by id or name")
        parser.add_argument("name", help="name of the new image")
        parser.add_argument("--description", help="(default: that of the image)")
        parser.add_argument("--store", help="store to keep it in (default: the default store)")
        command.add_key(parser)
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait until the image is active."""
        given = {
            "name": parsed_args.name,
            "description": parsed_args.description,
            "store": parsed_args.store,
            "key_id": parsed_args.key,
        }
        body = {name: value for name, value in given.items() if value is not None}
        image_id = self.client.find_image(parsed_args.image)
        answer = self.client.post(f"/images/{image_id}/copy", body, idempotent=True)
        job = answer["job"]
        if parsed_args.wait:
            job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        return command.fields(
            {"image_id": answer["image_id"], "job_id": job["id"], "state": job["state"]}
        )
