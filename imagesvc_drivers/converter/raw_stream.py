"""The guest's bytes of an image in order, from qemu-nbd in the sandbox: no file is written."""

import io
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagesvc.interface import converter, errors
from imagesvc_drivers.client import nbd, sandbox

_START_S, _PAUSE_S = 30.0, 0.01


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
            self._reader = nbd.NbdReader(self._connect())
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._reader is None:
            raise ValueError("The reader is closed.")
        try:
            return self._reader.readinto(buffer)
        except errors.DriverError:
            self._tool.join(1.0)
            if self._failure is not None:
                raise self._failure from None  # it says why the server left
            raise

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
                argv, reads=reads, writes=self._folder, limits=limits, cancel=self._cancel
            )
        except errors.DriverError as exc:  # told to whoever reads
            self._failure = exc
        else:
            if result.returncode:
                said = result.stderr[-500:].decode(errors="replace").strip()
                self._failure = converter.UnsafeImage("it does not open.", f"qemu-nbd: {said}")

    def _connect(self) -> socket.socket:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            running = self._tool.is_alive()
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(self._folder / "nbd"))
            except OSError:  # not there yet
                connection.close()
            else:
                return connection
            if not running:
                raise self._failure or errors.DriverError("The image cannot be read.")
            time.sleep(_PAUSE_S)
        raise errors.Timeout("The image takes too much time to open.", "qemu-nbd does not listen.")
