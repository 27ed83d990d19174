"""The command on health."""

import argparse
from typing import Any

from imagesvc.shell import command

_LIST = (
    ("Kind", "kind"), ("ID", "id"), ("Driver", "driver"), ("State", "state"),
    ("Since", "since"), ("Latency ms", "latency_ms"), ("Cause", "cause"),
)  # fmt: skip


class ShowHealth(command.List):
    """Show the last known state of each backend (administrators)."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """One row a backend."""
        return command.table(_LIST, self.client.get("/health")["backends"])
