"""A customer with a bucket, servers on paper and two keys of one KMS."""

import io

from imagesvc.backend.registry import Backends
from imagesvc.db import image_key
from tests.api.caller import Caller
from tests.api.native.customer import ROOT, Customer
from tests.unit.worker.paper_compute import PaperCompute


class SealedPlace(Customer):
    """`keys` are ids by name; `more` configures a KMS, or leaves the one in a file."""

    def __init__(self, folder, place, more=""):
        super().__init__(folder, f"sqlite:///{folder}/imagesvc.sqlite", place, more)
        self.keys = {name: self.key_of(self.owner) for name in ("A", "B")} | {"plain": None}
        self.compute = self.service.backends.compute()
        self.compute.servers["server"] = self.owner.project

    def key_of(self, caller, *, default=False):
        """A new key of a caller's project; its id."""
        found = caller.request("POST", f"{ROOT}/key", {"name": "k"})
        assert found.status_code == 201, found.text
        key_id = found.json["key"]["id"]
        if default:
            self.change(caller, key_id, default=True)
        return key_id

    def change(self, caller, key_id, **values):
        """Enable a key, disable it, or make it the default."""
        found = caller.request("PATCH", f"{ROOT}/key/{key_id}", values)
        assert found.status_code == 200, found.text

    def by_upload(self, data, key_id):
        """An image by an upload; its id."""
        values = {"imagesvc_key_id": key_id} if key_id else {}
        return self.owner.active(data, **values)

    def by_server(self, data, key_id):
        """An image of a server that has these bytes on its disk."""
        self.compute.disks["vda"] = data
        found = self.native("captures", {"name": "c", "server_id": "server"}, key_id)
        return self.done(found)

    def by_machine(self, data, key_id):
        """An image of a server with two disks, which have these bytes and the same backwards."""
        self.compute.disks |= {"vda": data, "vdb": data[::-1]}
        self.compute.disk_ids = ["vda", "vdb"]
        try:
            body = {"name": "c", "server_id": "server", "whole": True, "visibility": "shared"}
            return self.done(self.native("captures", body, key_id))
        finally:
            self.compute.disk_ids = ["vda"]

    def by_bucket(self, data, key_id):
        """An image of an object in the bucket."""
        source = {
            "type": "bucket", "object_store_id": self.store_id, "bucket": "customer",
            "key": self.lay(data),
        }  # fmt: skip
        body = {"name": "b", "source": source, "disk_format": "raw"}
        return self.done(self.native("imports", body, key_id))

    def copy(self, image_id, key_id, caller=None):
        """Ask for a copy; the answer."""
        return self.native(f"images/{image_id}/copy", {"name": "copy"}, key_id, caller)

    def native(self, path, body, key_id, caller=None):
        """A request for an image under a key."""
        body = body | ({"key_id": key_id} if key_id else {})
        return (caller or self.owner).request("POST", f"{ROOT}/{path}", body)

    def done(self, found):
        """Let the worker work; the id of the image of an answer."""
        assert found.status_code == 202, found.text
        self.several.work()
        job = self.job(found.json["job"]["id"])
        assert (job["state"], job["cause"]) == ("done", None)
        return found.json["image_id"]

    def read(self, image_id, caller=None):
        """The answer to a download."""
        return (caller or self.owner).get(f"/v2/images/{image_id}/file")

    def rows(self, key_id):
        """The data keys under a key."""
        with self.service.database.read() as conn:
            backend_id = self.service.backends.default_id("encryption")
            return image_key.page(conn, backend_id, key_id, ("", ""), 1000)

    def stranger(self):
        """Somebody of another project."""
        return Caller(self.several.app)


class DiskCompute(PaperCompute):
    """Servers on paper whose disks tests write."""

    def __init__(self):
        super().__init__()
        self.disks = {"vda": b""}
        self.disk_ids = ["vda"]

    def get_server(self, server_id, *, project_id):
        """With disks of the sizes that were written."""
        found = super().get_server(server_id, project_id=project_id)
        for disk in found.disks:
            object.__setattr__(disk, "size_bytes", len(self.disks[disk.disk_id]))
        return found

    def snapshot_size(self, snapshot_id):
        return len(self._disk(snapshot_id))

    def open_snapshot(self, snapshot_id, *, offset=0):
        return io.BytesIO(self._disk(snapshot_id)[offset:])

    def _disk(self, snapshot_id):
        return self.disks[snapshot_id.split("-")[1]]


class PaperBackends(Backends):
    """Backends with those servers."""

    _compute = None

    def compute(self, backend_id=None):
        if self._compute is None:
            self._compute = DiskCompute()
        return self._compute
