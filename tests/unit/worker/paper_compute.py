"""A compute driver that keeps servers and snapshots in memory.

Why a fake: the runner's tests need work that fails, hangs or vanishes at a chosen call, which no
real engine does on order. The flows themselves run against QEMU in `tests/crash`.
"""

import dataclasses
import io

from imagesvc.interface import base, compute, errors
from imagesvc.interface.operation import Progress, ProgressState

DISK = bytes(range(256)) * 9000 + bytes(1 << 20)
DATA = DISK[::-1]
BYTES = {"vda": DISK, "vdb": DATA, "vdc": DATA}


class PaperCompute(compute.ComputeDriver):
    """`faults` maps a method's name to an exception that it raises; `pending` work does not end.

    `broken` are servers whose rebuild fails; `frozen` says whether guests answer to a freeze.
    """

    contract = compute.VERSION

    def __init__(self):
        super().__init__(None, backend_id="paper")
        self.faults = {}
        self.pending = False
        self.works = {}
        self.snapshots = set()
        self.servers = {}
        self.tokens = []
        self.disk_ids = ["vda", "vdb"]
        self.image_id = None  # what the servers were made of
        images = compute.ComputeCapability.SNAPSHOT_IMAGE
        self.capabilities = frozenset(compute.ComputeCapability) - {images}
        self.specs = []
        self.broken = {}
        self.rebuilt = []
        self.frozen = True

    def _call(self, name):
        if name in self.faults:
            raise self.faults[name]

    def _start(self, kind, token, facts):
        self.tokens.append(token)
        self.works.setdefault(f"{kind}/{token}", {"state": ProgressState.RUNNING, **facts})
        return f"{kind}/{token}"

    def info(self):
        return base.DriverInfo("paper", "test", "1", self.capabilities)

    def health(self):
        return base.Health(base.HealthState.OK)

    def get_server(self, server_id, *, project_id):
        if self.servers.get(server_id) != project_id:
            raise errors.NotFound("No such server.")
        disks = tuple(
            compute.ServerDisk(disk_id, len(BYTES.get(disk_id, DISK)), disk_id == "vda")
            for disk_id in self.disk_ids
        )
        state = compute.ServerState.RUNNING
        facts = (server_id, project_id, "paper", state, "linux", "x86_64", disks)
        return compute.Server(*facts, image_id=self.image_id)

    def list_servers(self, project_id, *, after=None, limit=100):
        found = sorted(key for key, owner in self.servers.items() if owner == project_id)
        found = [key for key in found if key > (after or "")][:limit]
        return [self.get_server(key, project_id=project_id) for key in found]

    def start_create(self, spec, count, token):
        self._call("start_create")
        self.specs.append(spec)
        return self._start("create", token, {"count": count, "project": spec.project_id})

    def start_server(self, server_id, *, project_id):
        self.get_server(server_id, project_id=project_id)

    stop_server = start_server

    def delete_server(self, server_id, *, project_id):
        self._call("delete_server")
        self.servers.pop(server_id, None)

    def start_snapshot(self, server_id, disk_id, token, *, project_id, quiesce=False):
        self._call("start_snapshot")
        self.get_server(server_id, project_id=project_id)
        return self._start("snapshot", token, {"disks": disk_id, "quiesce": quiesce})

    def start_group_snapshot(self, server_id, token, *, project_id, quiesce=False):
        self._call("start_group_snapshot")
        server = self.get_server(server_id, project_id=project_id)
        disks = [disk.disk_id for disk in server.disks]
        return self._start("snapshot", token, {"disks": disks, "quiesce": quiesce})

    def snapshot_consistency(self, snapshot_id):
        frozen = self.frozen and snapshot_id.endswith("frozen")
        return compute.Consistency.APPLICATION if frozen else compute.Consistency.CRASH

    def start_rebuild(self, server_id, source, token, *, project_id):
        self._call("start_rebuild")
        self.get_server(server_id, project_id=project_id)
        return self._start("rebuild", token, {"server": server_id, "image": source.image_id})

    def forestall_rebuild(self, token):
        self._call("forestall_rebuild")
        return f"rebuild/{token}" if f"rebuild/{token}" in self.works else None

    def snapshot_size(self, snapshot_id):
        return len(BYTES[snapshot_id.split("-")[1]])

    def open_snapshot(self, snapshot_id, *, offset=0):
        self._call("open_snapshot")
        if snapshot_id not in self.snapshots:
            raise errors.NotFound("No such snapshot.")
        return io.BytesIO(BYTES[snapshot_id.split("-")[1]][offset:])

    def delete_snapshot(self, snapshot_id):
        self._call("delete_snapshot")
        self.snapshots.discard(snapshot_id)

    def read_console(self, server_id, *, project_id, offset=0):
        self.get_server(server_id, project_id=project_id)
        return b"hello"[offset:]

    def poll(self, handle):
        self._call("poll")
        if handle not in self.works:
            raise errors.NotFound("No such work.")
        work = self.works[handle]
        if work["state"] is ProgressState.RUNNING and not self.pending:
            self._end(handle, work)
        return Progress(work["state"], result=work.get("result"), error=work.get("error", ""))

    def _end(self, handle, work):
        work["state"] = ProgressState.DONE
        if handle.startswith("snapshot/"):
            end = "-frozen" if work["quiesce"] else ""
            disks = work["disks"]
            every = [disks] if isinstance(disks, str) else disks
            made = {disk_id: f"of-{disk_id}-{handle}{end}" for disk_id in every}
            self.snapshots |= set(made.values())
            work["result"] = made[disks] if isinstance(disks, str) else made
            return
        if handle.startswith("rebuild/"):
            if error := self.broken.get(work["server"]):
                work.update(state=ProgressState.FAILED, error=error)
                return
            self.rebuilt.append((work["server"], work["image"]))
            work["result"] = work["server"]
            return
        made = [f"{handle}-{n}" for n in range(work["count"])]
        self.servers |= dict.fromkeys(made, work["project"])
        work["result"] = [dataclasses.asdict(compute.CreatedServer(key)) for key in made]

    def cancel(self, handle):
        work = self.works[handle]
        if work["state"] is ProgressState.RUNNING:
            work["state"] = ProgressState.CANCELLED
