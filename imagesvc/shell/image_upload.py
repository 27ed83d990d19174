"""The command that uploads a file as an image, and goes on where it was."""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from imagesvc.shell import command, job_wait, tus
from imagesvc.shell.cloud import ShellError
from imagesvc.shell.upload_state import Remembered, UploadState

_MIB = 1 << 20
_LINE_S = (0.2, 5.0)  # between two lines of progress, on a terminal and elsewhere


class UploadImage(command.Show):
    """Upload a file as an image; run again after a kill, it goes on where it was."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The file, and the image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("file", type=Path, help="file with the image")
        parser.add_argument("--image", metavar="IMAGE", help="a queued image, by id or name")
        parser.add_argument("--name", help="name of a new image (default: that of the file)")
        parser.add_argument("--disk-format", help="format of the bytes; needed for a new image")
        parser.add_argument("--container-format", default="bare", help="default: bare")
        parser.add_argument(
            "--source-format", choices=("ova",), help="take an OVA apart into the image's disks"
        )
        command.add_key(parser)
        parser.add_argument("--sha256", metavar="HEX", help="digest that the bytes must have")
        parser.add_argument(
            "--resume",
            action=argparse.BooleanOptionalAction,
            help="go on with an upload of this file or fail; or begin anew, and give that one up "
            "(default: go on if there is one)",
        )
        parser.add_argument(
            "--piece-size",
            type=command.positive,
            default=8,
            metavar="MIB",
            help="MiB of one request (default: 8); a connection that breaks costs at most these",
        )
        parser.add_argument(
            "--patience",
            type=float,
            default=300.0,
            metavar="SECONDS",
            help="how long to try without getting further (default: 300)",
        )
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Send it; with --wait until the image is active."""
        try:
            source = parsed_args.file.open("rb")
        except OSError as exc:
            raise ShellError(f"{parsed_args.file} cannot be read: {exc.strerror}.") from exc
        with source:
            return self._upload(parsed_args, source)

    def _upload(self, parsed_args: argparse.Namespace, source: Any) -> tuple[Any, Any]:
        found = os.fstat(source.fileno())
        state = UploadState(parsed_args.file, found, self.client.cloud_name)
        remembered = self._begun(parsed_args, state, found.st_size)
        upload = tus.TusUpload(self.client, remembered.upload_id, patience_s=parsed_args.patience)
        show = _Progress(found.st_size)
        try:
            place = upload.send(source, found.st_size, parsed_args.piece_size * _MIB, show)
        except tus.UploadGone:
            state.write(Remembered(remembered.image_id))
            raise
        if os.fstat(source.fileno()).st_mtime_ns != found.st_mtime_ns:
            raise ShellError(f"{parsed_args.file} was changed while it was sent.")
        state.forget()
        if place.job_id is None:
            raise ShellError("The service has all bytes, and names no job.")
        told = {
            "image_id": remembered.image_id, "job_id": place.job_id,
            "size_bytes": found.st_size, "sent_bytes": upload.sent_bytes,
        }  # fmt: skip
        if parsed_args.wait:
            job_wait.wait(self.client, place.job_id, timeout_s=parsed_args.timeout)
        return command.fields(told)

    def _begun(self, parsed_args: argparse.Namespace, state: UploadState, size: int) -> Remembered:
        """The upload to go on with, or a new one."""
        wanted = parsed_args.image and self.client.find_image(parsed_args.image)
        known = state.read()
        if known is not None and wanted not in (None, known.image_id):
            known = None
        if known is not None and known.upload_id and parsed_args.resume is False:
            self.client.exchange("DELETE", f"/uploads/{known.upload_id}", headers=tus.VERSION)
            known = Remembered(known.image_id)
        if known is not None and known.upload_id and self._lives(known):
            return known
        if parsed_args.resume:
            raise ShellError(f"There is no upload of {parsed_args.file} to go on with.")
        image_id = wanted or (known and known.image_id) or self._create(parsed_args, state)
        metadata = {"image_id": image_id, "filename": parsed_args.file.name[:255]}
        if parsed_args.sha256:
            metadata["sha256"] = parsed_args.sha256
        if parsed_args.source_format:
            metadata["source_format"] = parsed_args.source_format
        try:
            begun = Remembered(image_id, tus.begin(self.client, size, metadata))
        except tus.Refused:
            state.forget()  # the image was deleted, or is whole: the next one is another
            raise
        state.write(begun)
        return begun

    def _lives(self, known: Remembered) -> bool:
        upload = tus.TusUpload(self.client, known.upload_id, patience_s=0)
        try:
            at = upload.look().offset
        except tus.UploadGone:
            return False
        print(f"goes on at {at} bytes", file=sys.stderr, flush=True)
        return True

    def _create(self, parsed_args: argparse.Namespace, state: UploadState) -> str:
        if not parsed_args.disk_format:
            raise ShellError("A new image needs --disk-format; or name a queued one with --image.")
        body = {
            "name": parsed_args.name or parsed_args.file.name,
            "disk_format": parsed_args.disk_format,
            "container_format": parsed_args.container_format,
        }
        if parsed_args.key:
            body["imagesvc_key_id"] = parsed_args.key
        image_id = self.client.create_image(body)
        state.write(Remembered(image_id))
        return image_id


class _Progress:
    """Writes how far it is to stderr, on one line of a terminal."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._tty = sys.stderr.isatty()
        self._next = 0.0
        self._began: tuple[float, int] | None = None

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        self._began = self._began or (now, done)
        if now < self._next and done < self._size:
            return
        self._next = now + _LINE_S[0 if self._tty else 1]
        percent = 100 * done // self._size if self._size else 100
        rate = (done - self._began[1]) / max(now - self._began[0], 0.001)
        left = f", {(self._size - done) / rate:.0f} s left" if rate and done < self._size else ""
        text = f"{percent} %, {done} of {self._size} bytes, {rate / _MIB:.1f} MiB/s{left}"
        end = "\n" if not self._tty or done >= self._size else ""
        print(f"\r\x1b[K{text}" if self._tty else text, end=end, file=sys.stderr, flush=True)
