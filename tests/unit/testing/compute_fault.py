"""Compute drivers that each break one promise; all else is as in the sound small one."""

import dataclasses
import json
import uuid
from dataclasses import replace
from pathlib import Path

from imagesvc.interface import base, compute, errors
from imagesvc.interface.compute import ComputeCapability
from imagesvc.interface.operation import Progress, ProgressState
from tests.unit.testing.folder_compute import FolderCompute


def sql(driver, statement, *values):
    with driver.transaction() as conn:
        return conn.execute(statement, values).fetchall()


def promising(info, capability):
    """The same driver with one more promise."""
    return replace(info, capabilities=info.capabilities | {capability})


class LongHandle(FolderCompute):
    def start(self, kind, token, facts):
        return super().start(kind, token, facts) + " " * 2000


class NoToken(FolderCompute):
    def start(self, kind, token, facts):
        return super().start(kind, uuid.uuid4().hex, facts)


class OwnTokens(FolderCompute):
    """Knows the tokens that it was given itself."""

    def start(self, kind, token, facts):
        known = self.__dict__.setdefault("known", {})
        known.setdefault(token, f"{token} {uuid.uuid4()}")
        return super().start(kind, known[token], facts)


class OwnWork(FolderCompute):
    def poll(self, handle):
        if handle not in self.__dict__.get("mine", ()):
            raise errors.NotFound("That is somebody else's.")
        return super().poll(handle)

    def start(self, kind, token, facts):
        handle = super().start(kind, token, facts)
        self.__dict__.setdefault("mine", set()).add(handle)
        return handle


class UnknownRuns(FolderCompute):
    def poll(self, handle):
        try:
            return super().poll(handle)
        except errors.NotFound:
            return Progress(ProgressState.RUNNING)


class CancelAll(FolderCompute):
    def cancel(self, handle):
        super().cancel(handle)
        sql(self, "UPDATE work SET state = 'cancelled' WHERE handle = ?", handle)


class CancelFails(FolderCompute):
    def cancel(self, handle):
        super().cancel(handle)
        update = "UPDATE work SET state = 'failed', result = '\"no\"' WHERE state = 'cancelled'"
        sql(self, update)


class Piecemeal(FolderCompute):
    """Makes servers one by one under fresh ids, outside of the work's transaction."""

    def poll(self, handle):
        found = sql(self, "SELECT facts FROM work WHERE handle = ? AND state = 'running'", handle)
        facts = json.loads(found[0][0]) if found else {"kind": ""}
        if facts["kind"] != "create":
            return super().poll(handle)
        made = []
        for number in range(len(facts["names"])):
            with self.transaction() as conn:
                server_id = self.make(conn, uuid.uuid4().hex, number, facts)
            made.append({"server_id": server_id, "error": ""})
        update = "UPDATE work SET state = 'done', result = ? WHERE handle = ?"
        sql(self, update, json.dumps(made), handle)
        return super().poll(handle)


class EarlySnapshot(FolderCompute):
    """Says that it is done before the bytes are there."""

    def poll(self, handle):
        update = (
            "UPDATE work SET state = 'done', result = json_quote(handle) WHERE handle = ? "
            "AND state = 'running' AND facts LIKE '%\"snapshot\"%' RETURNING facts"
        )
        for (facts,) in sql(self, update, handle):
            with self.transaction() as conn:
                self.work(conn, handle, json.loads(facts))
        return super().poll(handle)


class OneName(FolderCompute):
    def make(self, conn, handle, number, facts):
        return super().make(conn, handle, number, {**facts, "names": ["law"] * 9})


class Unsorted(FolderCompute):
    def list_servers(self, project_id, **options):
        return super().list_servers(project_id, **options)[::-1]


class Unpaged(FolderCompute):
    def list_servers(self, project_id, *, after=None, limit=100):
        return super().list_servers(project_id, limit=limit)


class OneProject(FolderCompute):
    """Looks at the id alone."""

    def row(self, conn, server_id, project_id):
        found = conn.execute("SELECT project FROM server WHERE id = ?", (server_id,)).fetchone()
        return super().row(conn, server_id, found[0] if found else project_id)


class StopOnce(FolderCompute):
    def stop_server(self, server_id, *, project_id):
        state = self.get_server(server_id, project_id=project_id).state
        if state is compute.ServerState.STOPPED:
            raise errors.Busy("It is stopped.")
        super().stop_server(server_id, project_id=project_id)


class Forgetting(FolderCompute):
    """Its servers end with it."""

    def close(self):
        if hasattr(self, "folder"):
            sql(self, "DELETE FROM server")


class Shifted(FolderCompute):
    def open_snapshot(self, snapshot_id, *, offset=0):
        return super().open_snapshot(snapshot_id, offset=offset and offset + 1)


class AnyDisk(FolderCompute):
    def start_snapshot(self, server_id, disk_id, token, *, project_id, quiesce=False):
        if quiesce:
            raise errors.NotSupported("Nothing can be frozen here.")
        return self.start("snapshot", token, {"disk": f"{server_id}.disk0"})


class AnyBytes(FolderCompute):
    def start(self, kind, token, facts):
        for disk in facts.get("disks", ()):
            disk[1] = ""
        return super().start(kind, token, facts)

    def work(self, conn, handle, facts):
        known = {**facts, "disks": []} if facts["kind"] == "create" else facts
        return super().work(conn, handle, known)


class LocalOnly(FolderCompute):
    def start_create(self, spec, count, token):
        if any(disk.local_path is None for disk in spec.disks):
            raise errors.InvalidArgument("The image has to be a file.")
        return super().start_create(spec, count, token)


class Grouping(FolderCompute):
    """Groups what it does not promise to."""

    def start_group_snapshot(self, server_id, token, *, project_id, quiesce=False):
        return self.start_snapshot(server_id, "disk0", token, project_id=project_id)


class GroupingSome(FolderCompute):
    """Groups some disks, and does not promise to."""

    def start_disks_snapshot(self, server_id, disk_ids, token, *, project_id, quiesce=False):
        return self.start_snapshot(server_id, disk_ids[0], token, project_id=project_id)


class GroupingOne(FolderCompute):
    """Promises groups, and copies one disk."""

    def info(self):
        return promising(super().info(), ComputeCapability.CONSISTENT_GROUP)

    def start_group_snapshot(self, server_id, token, *, project_id, quiesce=False):
        return self.start_snapshot(server_id, "disk0", token, project_id=project_id)

    def poll(self, handle):
        found = super().poll(handle)
        if isinstance(found.result, str):
            return replace(found, result={"disk0": found.result})
        return found


class Backwards(FolderCompute):
    """Its servers have their disks in another order."""

    def start_create(self, spec, count, token):
        return super().start_create(replace(spec, disks=spec.disks[::-1]), count, token)


class Fuller(FolderCompute):
    """Promises empty disks, and makes none."""

    def info(self):
        return promising(super().info(), ComputeCapability.EMPTY_DISK)


class Freezing(FolderCompute):
    def start_snapshot(self, server_id, disk_id, token, *, project_id, quiesce=False):
        return super().start_snapshot(server_id, disk_id, token, project_id=project_id)


class Rebuilding(FolderCompute):
    def start_rebuild(self, server_id, source, token, *, project_id):
        return Path(server_id).name


class _Rebuilder(FolderCompute):
    """Promises to rebuild, and says at once that it has."""

    def info(self):
        return promising(super().info(), ComputeCapability.REBUILD)

    def start_rebuild(self, server_id, source, token, *, project_id):
        self.get_server(server_id, project_id=project_id)
        update = "UPDATE server SET image = ?, log = log || 'hello\n' WHERE id = ?"
        sql(self, update, source.image_id, server_id)
        return self.start("rebuild", token, {"server": server_id})

    def work(self, conn, handle, facts):
        if facts["kind"] == "rebuild":
            return "done", facts["server"]
        return super().work(conn, handle, facts)


class Renewing(_Rebuilder):
    """Gives the server another name."""

    def start_rebuild(self, server_id, source, token, *, project_id):
        sql(self, "UPDATE server SET name = 'new' WHERE id = ?", server_id)
        return super().start_rebuild(server_id, source, token, project_id=project_id)


class RebuildingAny(_Rebuilder):
    """Does not look at the bytes."""


class RebuildingForeign(_Rebuilder):
    """Does not look at the project."""

    def start_rebuild(self, server_id, source, token, *, project_id):
        return self.start("rebuild", token, {"server": server_id})


class RebuildingLate(_Rebuilder):
    """Begins what it said would never begin."""

    contract = base.Version(1, 2)

    def forestall_rebuild(self, token):
        return None


class RebuildingOff(_Rebuilder):
    """Leaves the server without its second disk."""

    def start_rebuild(self, server_id, source, token, *, project_id):
        sql(self, "UPDATE server SET sizes = '[1]' WHERE id = ?", server_id)
        return super().start_rebuild(server_id, source, token, project_id=project_id)


class Attaching(FolderCompute):
    """Keeps the laws of ATTACH; those below break one each."""

    def info(self):
        return base.DriverInfo("folder", "test", "1", frozenset({compute.ComputeCapability.ATTACH}))

    def volumes(self, server_id):
        """The file that names the volumes of a server."""
        return self.folder / f"{Path(server_id).name}.volumes"

    def described(self, row):
        path = self.volumes(row[0])
        found = tuple(json.loads(path.read_text())) if path.exists() else ()
        return dataclasses.replace(super().described(row), volumes=found)

    def attach_volume(self, server_id, connection, *, project_id):
        known = self.get_server(server_id, project_id=project_id).volumes
        if connection["protocol"] != "file":
            raise errors.NotSupported("Files only.")
        found = dict.fromkeys((*known, connection["volume_id"]))
        self.volumes(server_id).write_text(json.dumps(list(found)))

    def detach_volume(self, server_id, volume_id, *, project_id):
        known = self.get_server(server_id, project_id=project_id).volumes
        left = [one for one in known if one != volume_id]
        self.volumes(server_id).write_text(json.dumps(left))


class LosingVolumes(Attaching):
    """Forgets them with the server's run."""

    def stop_server(self, server_id, *, project_id):
        super().stop_server(server_id, project_id=project_id)
        self.volumes(server_id).unlink(missing_ok=True)


class AttachingToAll(Attaching):
    def attach_volume(self, server_id, connection, *, project_id):
        self.volumes(server_id).write_text(json.dumps([connection["volume_id"]]))


class AnyProtocol(Attaching):
    def attach_volume(self, server_id, connection, *, project_id):
        super().attach_volume(server_id, connection | {"protocol": "file"}, project_id=project_id)


class NoDataDisks(FolderCompute):
    """Takes disks that it does not promise."""

    contract = base.Version(1, 3)


class NamingImages(FolderCompute):
    """Names an image for each snapshot, also for those that are gone."""

    def info(self):
        return promising(super().info(), ComputeCapability.SNAPSHOT_IMAGE)

    def snapshot_image(self, snapshot_id):
        return snapshot_id
