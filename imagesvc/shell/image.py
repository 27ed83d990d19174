"""The commands on images that Glance's clients lack: their copies, their list as a file."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from imagesvc.shell import command
from imagesvc.shell.cloud import ShellError

_FILTERS = ("visibility", "status", "name", "kind", "os_type", "owner", "tag", "language")


class ShowImage(command.Show):
    """Show an image's disks, and how many good copies of them there are in which stores."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image, by id or name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its copies; what wants a look goes to stderr too."""
        image_id = self.client.find_image(parsed_args.image)
        found = self.client.get(f"/images/{image_id}")["image"]
        for text in found["warnings"]:
            self.app.stderr.write(f"warning: {text}\n")
        return command.fields(found)


class ExportImages(command.Command):
    """Write the list of images as CSV, for a spreadsheet."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Where to, and which."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--file", type=Path, help="file to write (default: standard output)")
        for name in _FILTERS[:-1]:
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, help=f"only images with this {name.replace('_', ' ')}")
        parser.add_argument("--language", choices=["en", "zh"], help="of the heading")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write it as it comes."""
        query = {name: getattr(parsed_args, name) for name in _FILTERS}
        pieces = self.client.stream("/image.csv", **query)
        if parsed_args.file is None:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        with _whole(parsed_args.file) as target:
            for piece in pieces:
                target.write(piece)


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its place once it is whole; else nothing of it is left."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as target:
            yield target
        part.replace(path)
    except OSError as exc:
        raise ShellError(f"{path} cannot be written: {exc.strerror}.") from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
