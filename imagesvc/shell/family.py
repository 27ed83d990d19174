"""Commands on families, and on what an image is a version of."""

import argparse
from typing import Any
from urllib import parse

from imagesvc.shell import command
from imagesvc.shell.cloud import ShellError

_LIST = (
    ("Name", "name"), ("Newest image", "image_id"), ("Version", "version"), ("Pinned", "pinned"),
    ("Project", "project_id"),
)  # fmt: skip
_FIELDS = ("name", "image_id", "version", "pinned", "former_image_id", "moved_at", "project_id")
_CHANGES = ("family", "family_version", "deprecated_at")


class ListFamilies(command.List):
    """List the project's families and public ones, with the newest image of each."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages."""
        return command.table(_LIST, self.client.items("/families", "families"))


class _OneFamily(command.Show):
    """One family, by its name."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The family."""
        parser = super().get_parser(prog_name)
        parser.add_argument("family", help="name of the family")
        return parser


class ShowFamily(_OneFamily):
    """Show a family and its images, highest version first."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its fields; a line for each image."""
        found = self.client.get(_path(parsed_args.family))["family"]
        lines = [_line(one) for one in found["versions"]]
        return command.fields({**found, "versions": "\n".join(lines)})


class SetFamily(_OneFamily):
    """Say which image is the newest of a family; --newest lets versions say it again."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image, or none."""
        parser = super().get_parser(prog_name)
        chosen = parser.add_mutually_exclusive_group(required=True)
        chosen.add_argument("--image", help="image of the family, by id or name")
        chosen.add_argument(
            "--newest", action="store_true", help="the image with the highest version, from now on"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Set it; show the family."""
        path = _path(parsed_args.family)
        if parsed_args.newest:
            self.client.delete(path)
            return command.fields(self.client.get(path)["family"], _FIELDS)
        image_id = self.client.find_image(parsed_args.image)
        return command.fields(self.client.put(path, {"image_id": image_id})["family"], _FIELDS)


class RollbackFamily(_OneFamily):
    """Make the image that was the newest of a family before the newest one again."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Go back; show the family."""
        found = self.client.post(f"{_path(parsed_args.family)}/rollback")["family"]
        return command.fields(found, _FIELDS)


class SetImage(command.Show):
    """Say of which family an image is, in which version, and when it is deprecated."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image, and what is to be changed; `none` takes away."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image, by id or name")
        parser.add_argument("--family", metavar="NAME", help="such as debian-13-x86_64, or none")
        parser.add_argument(
            "--family-version", metavar="VERSION", help="such as 20260101-1, or none"
        )
        parser.add_argument(
            "--deprecated-at", metavar="TIME",
            help="date or time from which it is not to be used for anything new, or none",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Set what is given; show it."""
        given = {name: getattr(parsed_args, name) for name in _CHANGES}
        body = {
            name: None if value == "none" else value
            for name, value in given.items()
            if value is not None
        }
        if not body:
            raise ShellError("Give --family, --family-version or --deprecated-at.")
        image_id = self.client.find_image(parsed_args.image)
        found = self.client.patch(f"/images/{image_id}/family", body)["image"]
        return command.fields(found, ("id", "name", *_CHANGES, "replacement_id"))


def _path(family: str) -> str:
    return f"/families/{parse.quote(family, safe='')}"


def _line(version: dict[str, Any]) -> str:
    facts = [version["image_id"], version["version"] or "-", version["status"]]
    facts += ["hidden"] if version["hidden"] else []
    for name in ("deprecated_at", "provided_until"):
        facts += [f"{name} {version[name]}"] if version[name] else []
    return " ".join(facts)
