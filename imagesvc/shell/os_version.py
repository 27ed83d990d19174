"""The systems that images may have."""

import argparse
from typing import Any

from imagesvc.shell import command

_COLUMNS = (
    ("Type", "os_type"), ("Platform", "platform"), ("Version", "version"), ("Bits", "bits"),
    ("Architectures", "architectures"),
)  # fmt: skip


class ListOsVersions(command.List):
    """List the systems that the catalog knows."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """By type, platform and version."""
        found = self.client.get("/catalog/os-versions")["os_versions"]
        rows = [{**one, "architectures": ", ".join(one["architectures"])} for one in found]
        return command.table(_COLUMNS, rows)
