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
        command.add_key(parser)
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait until the images are active."""
        body = self.source(parsed_args) | {
            "name": parsed_args.name,
            "visibility": parsed_args.visibility,
            "tags": parsed_args.tags,
        }
        if parsed_args.key:
            body["key_id"] = parsed_args.key
        if parsed_args.description:
            body["description"] = parsed_args.description
        answer = self.client.post("/captures", body, idempotent=True)
        job = answer["job"]
        if parsed_args.wait:
            job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        return command.fields(_named(answer) | {"job_id": job["id"], "state": job["state"]})

    @abc.abstractmethod
    def source(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """What is captured, as fields of the request."""


class CaptureServer(_Capture):
    """Make an image of a server, or of some of its disks, while it runs or not."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The server and its disks."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", help="server, by id or name")
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--disk", action="append", default=[], dest="disks", metavar="ID",
            help="disk to take (default: the system disk); several, taken at one instant, make an "
            "image each",
        )  # fmt: skip
        what.add_argument(
            "--whole", action="store_true", help="take all disks at one instant, as one image"
        )
        parser.add_argument(
            "--quiesce", action="store_true",
            help="freeze the file systems in the guest at that instant, if its agent answers",
        )  # fmt: skip
        return parser

    def source(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """The server and its disks."""
        body: dict[str, Any] = {"server_id": self.client.find_server(parsed_args.server)}
        for key in ("whole", "quiesce"):
            if getattr(parsed_args, key):
                body[key] = True
        if len(parsed_args.disks) == 1:
            body["disk_id"] = parsed_args.disks[0]
        elif parsed_args.disks:
            body["disk_ids"] = parsed_args.disks
        return body


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


class CaptureBackup(_Capture):
    """Make an image of a whole machine from a backup of a server."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The backup."""
        parser = super().get_parser(prog_name)
        parser.add_argument("backup", help="backup, by id or name")
        return parser

    def source(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """The backup."""
        return {"backup_id": self.client.find("backup", parsed_args.backup)}


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


def _named(answer: dict[str, Any]) -> dict[str, Any]:
    """The image, or the images if there are several."""
    if answer["image_id"]:
        return {"image_id": answer["image_id"]}
    return {"image_ids": answer["image_ids"]}
