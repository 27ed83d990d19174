"""The commands that make an image of a disk."""

import abc
import argparse
from typing import Any

from imagesvc.shell import command, job_wait


class _Capture(command.Show):
    """What the image shall be, and the job that makes it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """What the image shall be."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--name", required=True, help="name of the new image")
        parser.add_argument(
            "--visibility", choices=("private", "shared", "community", "public"), default="private"
        )
        parser.add_argument("--description", help="description of the new image")
        parser.add_argument(
            "--tag", action="append", default=[], dest="tags", help="tag; may be repeated"
        )
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait until the image is active."""
        body = self.source(parsed_args) | {
            "name": parsed_args.name,
            "visibility": parsed_args.visibility,
            "tags": parsed_args.tags,
        }
        if parsed_args.description:
            body["description"] = parsed_args.description
        answer = self.client.post("/captures", body, idempotent=True)
        job = answer["job"]
        if parsed_args.wait:
            job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        return command.fields(
            {"image_id": answer["image_id"], "job_id": job["id"], "state": job["state"]}
        )

    @abc.abstractmethod
    def source(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """What is captured, as fields of the request."""


class CaptureServer(_Capture):
    """Make an image of a server's disk, while it runs or not."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The server and its disk."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", help="server, by id or name")
        parser.add_argument("--disk", metavar="ID", help="disk to take (default: the system disk)")
        return parser

    def source(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """The server and its disk."""
        disk = {"disk_id": parsed_args.disk} if parsed_args.disk else {}
        return {"server_id": self.client.find_server(parsed_args.server), **disk}


class CaptureNode(_Capture):
    """Make an image of a bare-metal node's disk; the machine must be off."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The node."""
        parser = super().get_parser(prog_name)
        parser.add_argument("node", help="node, by id")
        return parser

    def source(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """The node."""
        return {"node_id": parsed_args.node}


class CaptureVolume(_Capture):
    """Make an image of a volume that no running server writes to."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The volume."""
        parser = super().get_parser(prog_name)
        parser.add_argument("volume", help="volume, by id or name")
        parser.add_argument(
            "--kind", choices=("data-disk", "system-disk"), default="data-disk",
            help="what the image restores (default: data-disk)",
        )  # fmt: skip
        return parser

    def source(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """The volume and what it is."""
        volume_id = self.client.find("volume", parsed_args.volume)
        return {"volume_id": volume_id, "kind": parsed_args.kind}
