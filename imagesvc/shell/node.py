"""Commands on bare-metal nodes."""

import argparse
from typing import Any

from imagesvc.shell import command, job_wait

_LIST = (
    ("ID", "id"), ("State", "state"), ("Bytes", "size_bytes"), ("Project", "project_id"),
    ("Image", "image_id"),
)  # fmt: skip


class ListNodes(command.List):
    """List the nodes that the project may use."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages."""
        return command.table(_LIST, self.client.items("/nodes", "nodes"))


class ShowNode(command.Show):
    """Show one node."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The node."""
        parser = super().get_parser(prog_name)
        parser.add_argument("node", help="node, by id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its fields."""
        return command.fields(self.client.get(f"/nodes/{parsed_args.node}")["node"])


class _Work(command.Show):
    """A job on one node."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The node."""
        parser = super().get_parser(prog_name)
        parser.add_argument("node", help="node, by id")
        command.add_wait(parser)
        return parser

    def follow(self, job: dict[str, Any], parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """The job; with --wait at its end."""
        if parsed_args.wait:
            job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        return command.fields(
            {"node": parsed_args.node, "job_id": job["id"], "state": job["state"]}
        )


class DeployNode(_Work):
    """Write an image to a node's disk; what was on it is lost."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--image", required=True, help="image, by id or name")
        parser.add_argument("--disk", type=int, default=0, help="number of the image's disk")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait until the disk was read back."""
        body = {"image_id": self.client.find_image(parsed_args.image), "disk": parsed_args.disk}
        path = f"/nodes/{parsed_args.node}/deploy"
        return self.follow(self.client.post(path, body, idempotent=True)["job"], parsed_args)


class UndeployNode(_Work):
    """Erase a node's disk and free the node."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait until the node is free."""
        path = f"/nodes/{parsed_args.node}/undeploy"
        return self.follow(self.client.post(path, idempotent=True)["job"], parsed_args)
