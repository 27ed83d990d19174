"""What a caller says of servers that are to be made."""

import dataclasses
from collections.abc import Mapping
from typing import Any

GIB = 1 << 30


@dataclasses.dataclass(frozen=True, slots=True)
class DataDisk:
    """A data disk: the first disk of an image, or without one an empty disk of `size_bytes`."""

    image_id: str | None = None
    size_bytes: int = 0

    def to_args(self) -> dict[str, Any]:
        """As a job's arguments keep it."""
        return {"image_id": self.image_id} if self.image_id else {"size_bytes": self.size_bytes}


def data_disks(args: Mapping[str, Any]) -> tuple[DataDisk, ...]:
    """The data disks that the arguments of a creation name, in order."""
    return tuple(DataDisk(**each) for each in args.get("data_disks", ()))
