"""The guest's bytes of an image in order, from qemu-nbd in the sandbox: no file is written."""

import io
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from imagesvc.interface import converter, errors
from imagesvc_drivers.client import nbd, sandbox

T = TypeVar("T")

_START_S, _PAUSE_S, _LEAVE_S = 30.0, 0.01, 1.0


class RawStream(io.RawIOBase):
    """Bytes of a disk; for one thread. `close` ends the tool. Raises UnsafeImage, DriverError."""

    def __init__(
        self,
        box: sandbox.Sandbox,
        qemu_format: str,
        place: str,
        reads: Mapping[str, Path],
        limits: converter.Limits,
    ) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="imagesvc-raw-"))
        self._cancel = threading.Event()
        self._failure: Exception | None = None
        self._reader: nbd.NbdReader | None = None
        argv = ["qemu-nbd", "-f", qemu_format, "-r", "-k", "/out/nbd", "--", place]
        self._tool = threading.Thread(
            target=self._run, args=(box, argv, reads, limits), name="qemu-nbd", daemon=True
        )
        self._tool.start()
        try:
            self._reader = self._connect()
        except errors.DriverError as exc:
            why = self._why(exc)
            self.close()
            raise why from exc
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes | bytearray:
        """At most `size` bytes; all if it is negative."""
        if size is None or size < 0:
            return self.readall()
        return self._told(lambda reader: reader.read(size))

    def readall(self) -> bytes:
        return self._told(lambda reader: reader.readall())

    def readinto(self, buffer: Any) -> int:
        return self._told(lambda reader: reader.readinto(buffer))

    def _told(self, act: Callable[[nbd.NbdReader], T]) -> T:
        if self._reader is None:
            raise ValueError("The reader is closed.")
        try:
            return act(self._reader)
        except errors.DriverError as exc:
            raise self._why(exc) from exc

    def _why(self, exc: Exception) -> Exception:
        """What the tool said, if it left; it knows more than the broken connection."""
        self._tool.join(_LEAVE_S)
        return self._failure or exc

    def close(self) -> None:
        if not self.closed:
            if self._reader is not None:
                self._reader.close()
            self._cancel.set()
            self._tool.join()
            shutil.rmtree(self._folder, ignore_errors=True)
        super().close()

    def _run(
        self,
        box: sandbox.Sandbox,
        argv: list[str],
        reads: Mapping[str, Path],
        limits: converter.Limits,
    ) -> None:
        try:
            result = box.run(
                argv, reads=reads, writes=self._folder, listens=True, limits=limits,
                cancel=self._cancel,
            )  # fmt: skip
        except errors.DriverError as exc:  # told to whoever reads
            self._failure = exc
        else:
            if result.returncode:
                said = result.stderr[-500:].decode(errors="replace").strip()
                self._failure = converter.UnsafeImage("it does not open.", f"qemu-nbd: {said}")

    def _connect(self) -> nbd.NbdReader:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            running = self._tool.is_alive()
            try:
                return nbd.NbdReader.at(self._folder / "nbd")
            except OSError as exc:  # not there yet
                if not running:
                    raise errors.DriverError("The image cannot be read.") from exc
            time.sleep(_PAUSE_S)
        raise errors.Timeout("The image takes too much time to open.", "qemu-nbd does not listen.")
