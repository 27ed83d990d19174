"""What this machine gives to servers: folders, QEMU, the accelerator. No knowledge of work."""

import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path
from typing import Any

from imagesvc.interface import errors
from imagesvc_drivers.client import record
from imagesvc_drivers.compute.qemu import (
    accelerator,
    attach,
    base_cache,
    command_line,
    image_tool,
    process,
    server_folder,
)

_FOLDERS = ("servers", "cache", "operations", "snapshots", "trash")


class Host:
    """Folders and programs of one backend."""

    def __init__(self, options: Any) -> None:
        self.state_dir = Path(options.state_dir)
        self.options = options
        self.tool = image_tool.ImageTool()
        self.cache = base_cache.BaseCache(self.state_dir / "cache", options.fetch_timeout_s)
        self.servers = server_folder.ServerFolders(
            self.state_dir / "servers", self.state_dir / "trash"
        )

    def open(self) -> None:
        """Make the folders and clear what was being deleted. Raises Unavailable."""
        try:
            for name in _FOLDERS:
                (self.state_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            self.state_dir.chmod(0o700)
            self._open_runtime_dir()
        except OSError as exc:
            raise errors.Unavailable("Servers cannot be kept here.", str(exc)) from exc
        for doomed in (self.state_dir / "trash").iterdir():
            shutil.rmtree(doomed, ignore_errors=True)

    @property
    def runtime_dir(self) -> Path:
        """The short folder of the sockets."""
        if self.options.runtime_dir:
            return Path(self.options.runtime_dir)
        inode = os.stat(self.state_dir)
        key = f"{os.getuid():x}-{inode.st_dev:x}-{inode.st_ino:x}"
        return Path(tempfile.gettempdir()) / f"imagesvc-{key}"

    def _open_runtime_dir(self) -> None:
        folder = self.runtime_dir
        longest = len(os.fsencode(command_line.sockets(folder, "any")["monitor"]))
        if longest > command_line.SOCKET_BYTES_MAX:
            raise errors.InvalidConfiguration(f"Option runtime_dir is too long: {folder}")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise errors.InvalidConfiguration(f"{folder} is not a folder of ours")
        folder.chmod(0o700)

    def binary(self) -> str:
        """QEMU's path. Raises Unavailable."""
        found: str | None = shutil.which(self.options.binary)
        if found is None:
            raise errors.Unavailable(
                "Servers cannot be run here.", f"{self.options.binary} is not installed"
            )
        return found

    def accelerator(self) -> str:
        """`kvm` or `tcg`."""
        return accelerator.choose(self.options.accelerator, self.binary(), self.state_dir)

    def launch(
        self, folder: server_folder.ServerFolder, server: server_folder.ServerRecord
    ) -> None:
        """Start a server whose folder is locked; one that runs is left running."""
        chosen = self.accelerator()
        sockets = command_line.sockets(self.runtime_dir, server.server_id)
        argv = command_line.build(
            self.binary(), chosen, folder, server, self.state_dir / "cache", sockets
        )
        argv += attach.arguments(folder)
        facts = sockets | {"accelerator": chosen}
        process.launch(folder, argv, facts, timeout_s=self.options.start_timeout_s)

    def create_disk(
        self, folder: server_folder.ServerFolder, disk: server_folder.DiskRecord
    ) -> None:
        """Make the file of a disk, over its base if it has one."""
        base = None if disk.base is None else self.cache.path(disk.base)
        self.create_file(folder.disk_path(disk), base, disk.base_format, disk.size_bytes)

    def create_file(self, path: Path, base: Path | None, base_format: str, size_bytes: int) -> None:
        """Make a qcow2 file, over a base if there is one."""
        if base is None:
            self.tool.create_empty(path, size_bytes)
        else:
            self.tool.create_overlay(path, base, base_format, size_bytes)

    def discard(self, folder: server_folder.ServerFolder) -> None:
        """End a server whose folder is locked, and remove it."""
        sockets = command_line.sockets(self.runtime_dir, folder.server_id)
        process.end(folder, quit_s=5)
        for path in sockets.values():
            Path(path).unlink(missing_ok=True)
        self.servers.remove(folder)

    def drop_unused_bases(self, used: set[str]) -> None:
        """Remove bases that no server stands on, and that are not among `used`."""
        used = set(used)
        for folder in self.servers:
            server = folder.read()
            used |= {disk.base for disk in server.disks if disk.base} if server else set()
        self.cache.drop_unused(used)

    def probe(self) -> None:
        """Raise Unavailable or NotSupported if servers cannot be made here just now."""
        self.binary()
        self.tool.check()
        probe = self.state_dir / "cache" / f".health-{os.getpid()}-{threading.get_ident()}"
        try:
            probe.touch()
            probe.unlink()
        except OSError as exc:
            raise errors.Unavailable("The state folder is not usable.", str(exc)) from exc

    def describe(self) -> str:
        """The accelerator, if it was chosen already; for operators."""
        known = record.read(self.state_dir / "accelerator.json")
        wanted: str = self.options.accelerator
        if wanted == "auto":
            return f"accelerator {known['answer']}" if known else "accelerator not probed yet"
        return f"accelerator {wanted}"
