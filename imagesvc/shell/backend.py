"""The command on backends."""

import argparse
from typing import Any

from imagesvc.shell import command

_LIST = (
    ("Kind", "kind"), ("ID", "id"), ("Driver", "driver"), ("Version", "version"),
    ("Contract", "contract"), ("Capabilities", "capabilities"), ("State", "state"),
)  # fmt: skip


class ListBackends(command.List):
    """List the configured backends (administrators)."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Each with its driver."""
        return command.table(_LIST, self.client.get("/backends")["backends"])
