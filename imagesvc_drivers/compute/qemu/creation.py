"""Creating servers: intent first, then base, overlays and processes, each safe to repeat.

Server ids follow from the handle, so whoever goes on after a kill meets the same servers.
"""

import dataclasses
import datetime
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.compute import ServerSpec
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc_drivers.client import image_fetch, operation_book
from imagesvc_drivers.compute.qemu import host, image_tool, process, server_folder

_NAMESPACE = uuid.UUID("6a1c4f0e-5f3b-4f0a-9a53-0b7e5a3a7c11")


class Creation:
    """Work of the kind `create`."""

    KIND = "create"

    def __init__(
        self, place: host.Host, book: operation_book.OperationBook, crew: operation_book.Crew
    ) -> None:
        self._host = place
        self._book = book
        self._crew = crew

    def start(self, spec: ServerSpec, count: int, token: str) -> Handle:
        """Write the work down and begin."""
        handle = self._book.handle(self.KIND, token)
        body = {
            "kind": self.KIND,
            "count": count,
            "spec": _spec_fields(spec),
            "sources": [image_fetch.fields(each) for each in spec.disks],
            "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
            "made": {},
            "done_bytes": 0,
            "total_bytes": sum(each.size_bytes for each in spec.disks) * count,
        }
        self._book.begin(handle, body)
        crashpoint("compute.qemu.create_recorded")
        self.push(handle)
        return handle

    def push(self, handle: Handle) -> None:
        """See to it that somebody works on it."""
        self._crew.put(handle, self._work)

    def _work(self, handle: Handle) -> None:
        with self._book.hold(handle) as held:
            if not held:
                return
            body = self._book.read(handle)
            if body["state"] != ProgressState.RUNNING:
                return
            with operation_book.recorded(self._book, handle, body):
                self._create(handle, body)
            if self._book.stop_asked(handle):
                self._undo(handle)

    def _create(self, handle: Handle, body: dict[str, Any]) -> None:
        if self._book.stop_asked(handle):
            return
        disks = self._disks(self._book.sources(handle), body["spec"])
        saving = threading.Lock()

        def one(index: int) -> None:
            if str(index) in body["made"] or self._book.stop_asked(handle):
                return
            made = self._one(handle, index, body, disks)
            with saving:
                body["made"][str(index)] = made
                body["done_bytes"] = body["total_bytes"] * len(body["made"]) // body["count"]
                self._book.save(handle, body)

        with ThreadPoolExecutor(self._host.options.parallel_starts) as pool:
            list(pool.map(one, range(body["count"])))
        if self._book.stop_asked(handle):
            return
        result = [body["made"][str(index)] for index in range(body["count"])]
        if not any(made["server_id"] for made in result):
            raise errors.DriverError(result[0]["error"], result[0].get("cause", ""))
        body["result"] = [{key: made[key] for key in ("server_id", "error")} for made in result]
        self._book.save(handle, body | {"state": ProgressState.DONE})

    def _disks(
        self, sources: list[dict[str, Any]], spec: dict[str, Any]
    ) -> tuple[server_folder.DiskRecord, ...]:
        """The disks in their order, the bases fetched."""
        places: list[ImageSource | int] = [image_fetch.from_fields(each) for each in sources]
        for empty in spec.get("empty_disks", ()):
            places.insert(empty["index"], empty["size_bytes"])
        disks = []
        for index, place in enumerate(places):
            base, base_format = None, "raw"
            if isinstance(place, ImageSource):
                base, base_format = self._host.cache.fetch(place), place.disk_format
                size_bytes = max(place.virtual_size_bytes, 0 if index else spec["disk_bytes"])
            else:
                size_bytes = place
            disks.append(
                server_folder.DiskRecord(
                    f"disk{index}", image_tool.round_up(size_bytes), base, base_format
                )
            )
        return tuple(disks)

    def _one(
        self,
        handle: Handle,
        index: int,
        body: dict[str, Any],
        disks: tuple[server_folder.DiskRecord, ...],
    ) -> dict[str, Any]:
        """Make one server; what goes wrong with it is its own result, and leaves nothing."""
        folder = self._host.servers.make(server_id(handle, index))
        with folder.lock(wait_s=self._host.options.lock_timeout_s):
            try:
                self._build(folder, _record(folder.server_id, handle, index, body, disks))
            except errors.DriverError as exc:
                self._host.discard(folder)
                return {
                    "server_id": None, "error": exc.user_message, "cause": exc.operator_message,
                }  # fmt: skip
        return {"server_id": folder.server_id, "error": ""}

    def _build(
        self, folder: server_folder.ServerFolder, server: server_folder.ServerRecord
    ) -> None:
        known = folder.read()
        if known is None or not known.built:
            folder.write(server)
            crashpoint("compute.qemu.server_recorded")
            for disk in server.disks:
                self._host.create_disk(folder, disk)
            folder.write(dataclasses.replace(server, built=True))
            crashpoint("compute.qemu.server_built")
        if not process.settled(folder):
            self._host.launch(folder, server)
        crashpoint("compute.qemu.server_started")

    def _undo(self, handle: Handle) -> None:
        body = self._book.read(handle)
        for index in range(body["count"]):
            folder = self._host.servers.of(server_id(handle, index))
            if folder.path.exists():
                with folder.lock(wait_s=self._host.options.lock_timeout_s):
                    self._host.discard(folder)
        self._book.save(handle, body | {"state": ProgressState.CANCELLED, "result": None})


def server_id(handle: Handle, index: int) -> str:
    """The id of the `index`-th server of a creation."""
    return str(uuid.uuid5(_NAMESPACE, f"{handle}/{index}"))


def _record(
    identifier: str,
    handle: Handle,
    index: int,
    body: dict[str, Any],
    disks: tuple[server_folder.DiskRecord, ...],
) -> server_folder.ServerRecord:
    spec = body["spec"]
    name = spec["name"] if body["count"] == 1 else f"{spec['name']}-{index + 1}"
    kept = {
        key: value
        for key, value in spec.items()
        if key not in ("name", "disk_bytes", "empty_disks")
    }
    return server_folder.ServerRecord(
        server_id=identifier, name=name, created_at=body["created_at"], handle=handle,
        disks=disks, **kept,
    )  # fmt: skip


def _spec_fields(spec: ServerSpec) -> dict[str, Any]:
    return {
        "name": spec.name, "project_id": spec.project_id, "memory_mib": spec.memory_mib,
        "vcpus": spec.vcpus, "disk_bytes": spec.disk_bytes, "os_type": spec.os_type,
        "architecture": spec.architecture, "image_id": spec.image_id,
        "empty_disks": [dataclasses.asdict(disk) for disk in spec.empty_disks],
    }  # fmt: skip
