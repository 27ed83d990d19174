"""Commands on agencies: which project of another region may put images into the project."""

import argparse
from typing import Any

from imagesvc.shell import command

_LIST = (
    ("ID", "id"), ("Name", "name"), ("Source region", "source_region"),
    ("Source project", "source_project_id"),
)  # fmt: skip


class CreateAgency(command.Show):
    """Let a project of another region put images into the project."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Who may."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", help="name of the agency in the project")
        parser.add_argument(
            "--source-region", required=True, metavar="REGION", help="name of the other region"
        )
        parser.add_argument(
            "--source-project", required=True, metavar="ID", help="id of the project there"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Make it, then show it."""
        body = {
            "name": parsed_args.name,
            "source_region": parsed_args.source_region,
            "source_project_id": parsed_args.source_project,
        }
        return command.fields(self.client.post("/agencies", body)["agency"])


class ListAgencies(command.List):
    """List the project's agencies."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages."""
        return command.table(_LIST, self.client.items("/agencies", "agencies"))


class DeleteAgency(command.Command):
    """End agencies at once; images that still come by one are given up."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The agencies."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "agencies", nargs="+", metavar="agency", help="agency, by id or name"
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Each in turn; the first failure ends the command."""
        for name in parsed_args.agencies:
            self.client.delete(f"/agencies/{self.client.find_agency(name)}")
