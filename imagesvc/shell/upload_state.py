"""Remembers uploads that are not over, so that the same command goes on with them after a kill.

One small file an upload below `$XDG_STATE_HOME/imagesvc/upload`, named by what makes the file the
same: its path, size and time of change, and the cloud.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import tempfile
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Remembered:
    """An upload and its image; `upload_id` is empty before it began."""

    image_id: str
    upload_id: str = ""


class UploadState:
    """What is remembered of one file in one cloud."""

    def __init__(self, file: Path, found: os.stat_result, cloud: str) -> None:
        facts = [cloud, str(file.resolve()), found.st_size, found.st_mtime_ns]
        name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:40]
        home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        self._path = home / "imagesvc" / "upload" / f"{name}.json"

    def read(self) -> Remembered | None:
        """What is remembered; None for nothing, or what cannot be read."""
        try:
            return Remembered(**json.loads(self._path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, remembered: Remembered) -> None:
        """Remember it, whole or not at all; a state folder that cannot be written is no error."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._path.parent)
            with open(descriptor, "w", encoding="utf-8") as target:
                json.dump(dataclasses.asdict(remembered), target)
            Path(name).replace(self._path)

    def forget(self) -> None:
        """The upload is over."""
        with contextlib.suppress(OSError):
            self._path.unlink()
