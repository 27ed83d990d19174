"""Commands on volumes, and on volumes at servers."""

import argparse
from typing import Any

from imagesvc.shell import command, job_wait

_LIST = (
    ("ID", "id"), ("Name", "name"), ("State", "state"), ("Bytes", "size_bytes"),
    ("Server", "server_id"), ("Image", "image_id"),
)  # fmt: skip
_JOB = (("Job", "id"), ("Type", "type"), ("State", "state"))


class CreateVolume(command.List):
    """Create one or many volumes, empty or from an image."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Size and image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", help="name; several volumes are called NAME-1, NAME-2, ...")
        parser.add_argument(
            "--size", type=command.positive, metavar="GIB",
            help="size in GiB (default: that of the image's disk)",
        )  # fmt: skip
        parser.add_argument("--image", help="image, by id or name (default: empty)")
        parser.add_argument("--disk", type=int, default=0, help="number of the image's disk")
        parser.add_argument("--count", type=command.positive, default=1, help="how many")
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait the volumes that it made, else the job."""
        body: dict[str, Any] = {"name": parsed_args.name, "count": parsed_args.count}
        if parsed_args.size is not None:
            body["size_gib"] = parsed_args.size
        if parsed_args.image:
            body |= {
                "image_id": self.client.find_image(parsed_args.image), "disk": parsed_args.disk
            }  # fmt: skip
        job = self.client.post("/volumes", body, idempotent=True)["job"]
        if not parsed_args.wait:
            return command.table(_JOB, [job])
        job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        made = [self.client.get(f"/volumes/{one}")["volume"] for one in job["result"]["volumes"]]
        return command.table(_LIST, made)


class ListVolumes(command.List):
    """List the project's volumes."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages."""
        return command.table(_LIST, self.client.items("/volumes", "volumes"))


class ShowVolume(command.Show):
    """Show one volume."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The volume."""
        parser = super().get_parser(prog_name)
        parser.add_argument("volume", help="volume, by id or name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its fields."""
        volume_id = self.client.find("volume", parsed_args.volume)
        return command.fields(self.client.get(f"/volumes/{volume_id}")["volume"])


class DeleteVolume(command.Command):
    """Remove volumes; one that is attached is refused."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The volumes."""
        parser = super().get_parser(prog_name)
        parser.add_argument("volumes", nargs="+", metavar="volume", help="volume, by id or name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Each in turn; the first failure ends the command."""
        for name in parsed_args.volumes:
            self.client.delete(f"/volumes/{self.client.find('volume', name)}")


class _AtServer(command.Command):
    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Server and volume."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", help="server, by id or name")
        parser.add_argument("volume", help="volume, by id or name")
        return parser

    def both(self, parsed_args: argparse.Namespace) -> tuple[str, str]:
        """The ids of server and volume."""
        server_id = self.client.find_server(parsed_args.server)
        return server_id, self.client.find("volume", parsed_args.volume)


class AttachVolume(_AtServer):
    """Attach a volume to a running or a stopped server."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Attach it."""
        server_id, volume_id = self.both(parsed_args)
        self.client.post(f"/servers/{server_id}/volumes", {"volume_id": volume_id})


class DetachVolume(_AtServer):
    """Detach a volume from a server."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Detach it."""
        server_id, volume_id = self.both(parsed_args)
        self.client.delete(f"/servers/{server_id}/volumes/{volume_id}")
