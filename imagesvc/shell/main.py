"""The `imagesvc` command: what the image API of OpenStack has no words for."""

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from typing import Any

from cliff import app, commandmanager

from imagesvc.shell import client as clients
from imagesvc.shell import cloud as clouds


class ImagesvcApp(app.App):
    """Global options and the client that all commands share."""

    def __init__(self) -> None:
        super().__init__(
            description="Servers, captures, jobs, audit trail and backends of an image service.",
            version=importlib.metadata.version("imagesvc"),
            command_manager=commandmanager.CommandManager("imagesvc.shell"),
            deferred_help=True,
        )
        self._client: clients.Client | None = None

    def build_option_parser(self, *args: Any, **kwargs: Any) -> argparse.ArgumentParser:
        """Add the choice of the cloud."""
        parser = super().build_option_parser(*args, **kwargs)
        parser.add_argument(
            "--os-cloud",
            metavar="NAME",
            default=os.environ.get("OS_CLOUD") or None,
            help="cloud of clouds.yaml to use (default: $OS_CLOUD)",
        )
        return parser

    @property
    def client(self) -> clients.Client:
        """The client of the chosen cloud."""
        if self._client is None:
            self._client = clients.Client(clouds.load(self.options.os_cloud))
        return self._client

    def clean_up(self, cmd: Any, result: int, err: BaseException | None) -> None:
        """Close what the command opened."""
        if self._client is not None:
            self._client.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did what it says."""
    return int(ImagesvcApp().run(list(sys.argv[1:] if argv is None else argv)))


if __name__ == "__main__":
    sys.exit(main())
