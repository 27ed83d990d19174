"""Commands on servers."""

import abc
import argparse
from typing import Any

from imagesvc.shell import command, job_wait

_LIST = (("ID", "id"), ("Name", "name"), ("State", "state"), ("Image", "image_id"))
_MADE = (("ID", "server_id"), ("Error", "error"))
_JOB = (("Job", "id"), ("Type", "type"), ("State", "state"))


class CreateServer(command.List):
    """Create one or many servers from an image."""

    _failed = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Image, name and size."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", help="name; several servers are called NAME-1, NAME-2, ...")
        parser.add_argument("--image", required=True, help="image, by id or name")
        parser.add_argument("--count", type=command.positive, default=1, help="how many")
        parser.add_argument("--memory", type=command.positive, metavar="MIB", help="memory in MiB")
        parser.add_argument("--vcpus", type=command.positive, help="virtual processors")
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait the servers that it made, else the job."""
        body = {
            "image_id": self.client.find_image(parsed_args.image),
            "name": parsed_args.name,
            "count": parsed_args.count,
        }
        for key, value in (("memory_mib", parsed_args.memory), ("vcpus", parsed_args.vcpus)):
            if value is not None:
                body[key] = value
        job = self.client.post("/servers", body, idempotent=True)["job"]
        if not parsed_args.wait:
            return command.table(_JOB, [job])
        job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        made = job["result"].get("servers", [])
        self._failed = any(server.get("error") for server in made)
        return command.table(_MADE, made)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """End with 1 if some of the servers could not be made."""
        code = super().run(parsed_args)
        return 1 if self._failed else int(code or 0)


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
