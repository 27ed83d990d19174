"""Commands on the bin: deleted images that can come back."""

import argparse
from typing import Any

from imagesvc.shell import command, job_wait

_LIST = (
    ("ID", "id"), ("Name", "name"), ("Project", "project_id"), ("Bytes", "size_bytes"),
    ("Deleted", "deleted_at"), ("Until", "bin_until"),
)  # fmt: skip


class _OneImage(command.Show):
    """One image in the bin, by its id."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="id of the deleted image")
        return parser


class ListBin(command.List):
    """List deleted images that can come back."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All of them."""
        return command.table(_LIST, self.client.items("/bin", "images"))


class ShowBinned(_OneImage):
    """Show a deleted image that can come back."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its fields."""
        return command.fields(self.client.get(f"/bin/{parsed_args.image}")["image"])


class UndoDelete(_OneImage):
    """Take a deleted image back, with its id, members and tags."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Take it back; a newer one of its family is told on stderr."""
        found = self.client.post(f"/bin/{parsed_args.image}/undo")["image"]
        if found["newest_id"] is not None:
            text = f"the newest image of its family is {found['newest_id']}"
            self.app.stderr.write(f"warning: {text}\n")
        return command.fields(found)


class PurgeBinned(_OneImage):
    """Remove a deleted image for good."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image, and whether to wait."""
        parser = super().get_parser(prog_name)
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job."""
        job = self.client.post(f"/bin/{parsed_args.image}/purge")["job"]
        if parsed_args.wait:
            job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        return command.fields(job, ("id", "type", "state"))
