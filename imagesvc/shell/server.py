"""Commands on servers."""

import abc
import argparse
from typing import Any

from imagesvc.shell import command, job_wait

_LIST = (("ID", "id"), ("Name", "name"), ("State", "state"), ("Image", "image_id"))
_MADE = (("ID", "server_id"), ("Error", "error"))
_JOB = (("Job", "id"), ("Type", "type"), ("State", "state"))


def _data_disk(text: str) -> tuple[str, str]:
    """What makes a data disk, for argparse: `size` and GiB, or `image` and its id or name."""
    key, _, value = text.partition("=")
    if key not in ("size", "image") or not value or (key == "size" and not value.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text} is neither size=GIB nor image=IMAGE")
    return key, value


class _Told(command.List):
    """A job whose result tells of each server."""

    _failed = False

    def told(
        self, path: str, body: dict[str, Any], parsed_args: argparse.Namespace
    ) -> tuple[Any, Any]:
        """Start the job; with --wait a row a server, else the job."""
        job = self.client.post(path, body, idempotent=True)["job"]
        if not parsed_args.wait:
            return command.table(_JOB, [job])
        job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        made = job["result"].get("servers", [])
        self._failed = any(server.get("error") for server in made)
        return command.table(_MADE, made)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """End with 1 if something went wrong with some of the servers."""
        code = super().run(parsed_args)
        return 1 if self._failed else int(code or 0)


class CreateServer(_Told):
    """Create one or many servers from an image, with data disks if they are named."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Image, name and size."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", help="name; several servers are called NAME-1, NAME-2, ...")
        parser.add_argument("--image", required=True, help="image, by id or name")
        parser.add_argument("--count", type=command.positive, default=1, help="how many")
        parser.add_argument("--memory", type=command.positive, metavar="MIB", help="memory in MiB")
        parser.add_argument("--vcpus", type=command.positive, help="virtual processors")
        parser.add_argument(
            "--data-disk", action="append", default=[], dest="data_disks", type=_data_disk,
            metavar="size=GIB|image=IMAGE",
            help="a data disk, empty or from an image; may be repeated",
        )  # fmt: skip
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait the servers that it made, else the job."""
        body: dict[str, Any] = {
            "image_id": self.client.find_image(parsed_args.image),
            "name": parsed_args.name,
            "count": parsed_args.count,
        }
        for key, value in (("memory_mib", parsed_args.memory), ("vcpus", parsed_args.vcpus)):
            if value is not None:
                body[key] = value
        if parsed_args.data_disks:
            body["data_disks"] = [self._disk(*each) for each in parsed_args.data_disks]
        return self.told("/servers", body, parsed_args)

    def _disk(self, key: str, value: str) -> dict[str, Any]:
        if key == "size":
            return {"size_gib": int(value)}
        return {"image_id": self.client.find_image(value)}


class RebuildServer(_Told):
    """Give servers a new system disk from another image; their data disks, ids and names stay."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The servers and the image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("servers", nargs="+", metavar="server", help="server, by id or name")
        parser.add_argument("--image", required=True, help="image, by id or name")
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait what became of each server, else the job."""
        body = {
            "server_ids": [self.client.find_server(each) for each in parsed_args.servers],
            "image_id": self.client.find_image(parsed_args.image),
        }
        return self.told("/rebuilds", body, parsed_args)


class ListServers(command.List):
    """List the project's servers."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages."""
        return command.table(_LIST, self.client.items("/servers", "servers"))


class ShowServer(command.Show):
    """Show one server."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The server."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", help="server, by id or name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its fields and disks."""
        server_id = self.client.find_server(parsed_args.server)
        return command.fields(self.client.get(f"/servers/{server_id}")["server"])


class _Act(command.Command):
    """One act on one or more servers."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The servers."""
        parser = super().get_parser(prog_name)
        parser.add_argument("servers", nargs="+", metavar="server", help="server, by id or name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Each in turn; the first failure ends the command."""
        for name in parsed_args.servers:
            self._act(self.client.find_server(name))

    @abc.abstractmethod
    def _act(self, server_id: str) -> None: ...


class StartServer(_Act):
    """Boot stopped servers."""

    def _act(self, server_id: str) -> None:
        self.client.post(f"/servers/{server_id}/start")


class StopServer(_Act):
    """Power servers off; their disks stay."""

    def _act(self, server_id: str) -> None:
        self.client.post(f"/servers/{server_id}/stop")


class DeleteServer(_Act):
    """End servers and remove their disks."""

    def _act(self, server_id: str) -> None:
        self.client.delete(f"/servers/{server_id}")
