"""Bare-metal drivers that each break one promise; all else is as in the driver `local`."""

import dataclasses
import io
import uuid

from imagesvc.interface import base, errors
from imagesvc.interface.baremetal import Node, NodeState
from imagesvc.interface.operation import Progress, ProgressState
from imagesvc_drivers.baremetal.local import LocalBaremetal


class LongHandle(LocalBaremetal):
    def start_deploy(self, node_id, spec, token):
        return super().start_deploy(node_id, spec, token) + " " * 2000


class NoToken(LocalBaremetal):
    def start_deploy(self, node_id, spec, token):
        return super().start_deploy(node_id, spec, uuid.uuid4().hex)


class OwnTokens(LocalBaremetal):
    """Knows the tokens that it was given itself."""

    def start_deploy(self, node_id, spec, token):
        known = self.__dict__.setdefault("known", {})
        known.setdefault(token, f"{token} {uuid.uuid4()}")
        return super().start_deploy(node_id, spec, known[token])


class OwnWork(LocalBaremetal):
    def poll(self, handle):
        if handle not in self.__dict__.get("mine", ()):
            raise errors.NotFound("That is somebody else's.")
        return super().poll(handle)

    def start_deploy(self, node_id, spec, token):
        handle = super().start_deploy(node_id, spec, token)
        self.__dict__.setdefault("mine", set()).add(handle)
        return handle


class UnknownRuns(LocalBaremetal):
    def poll(self, handle):
        try:
            return super().poll(handle)
        except errors.NotFound:
            return Progress(ProgressState.RUNNING)


class CancelAll(LocalBaremetal):
    """Forgets that work had ended."""

    def cancel(self, handle):
        self.__dict__.setdefault("cancelled", set()).add(handle)
        super().cancel(handle)

    def poll(self, handle):
        found = super().poll(handle)
        ended = handle in self.__dict__.get("cancelled", ()) and found.done
        return Progress(ProgressState.CANCELLED) if ended else found


class CancelFails(CancelAll):
    def poll(self, handle):
        found = super().poll(handle)
        lost = found.state is ProgressState.CANCELLED
        return Progress(ProgressState.FAILED, error="no") if lost else found


class Early(LocalBaremetal):
    """Says that it is done before it is."""

    def poll(self, handle):
        return Progress(ProgressState.DONE, result="node-1")


class EarlyDeploy(Early):
    def poll(self, handle):
        return (
            super().poll(handle)
            if handle.startswith("deploy")
            else LocalBaremetal.poll(self, handle)
        )


class EarlyErase(Early):
    def poll(self, handle):
        return (
            super().poll(handle)
            if handle.startswith("erase")
            else LocalBaremetal.poll(self, handle)
        )


class EarlyHold(Early):
    def poll(self, handle):
        return (
            super().poll(handle) if handle.startswith("hold") else LocalBaremetal.poll(self, handle)
        )


class Forgetful(LocalBaremetal):
    """Finds nothing, and forgets that it was asked."""

    def forestall(self, token):
        return None


class Nobodys(LocalBaremetal):
    """Forgets who has the node."""

    def get_node(self, node_id, *, project_id):
        return dataclasses.replace(
            super().get_node(node_id, project_id=project_id), project_id=None
        )


class LocalOnly(LocalBaremetal):
    def start_deploy(self, node_id, spec, token):
        if spec.source.local_path is None:
            raise errors.InvalidArgument("The image has to be a file.")
        return super().start_deploy(node_id, spec, token)


class Keeping(LocalBaremetal):
    """Leaves the disk as it is."""

    def start_undeploy(self, node_id, token, *, project_id):
        allowed = self._nodes.allowed[node_id]
        kept = allowed.path.read_bytes()
        handle = super().start_undeploy(node_id, token, project_id=project_id)
        while not self.poll(handle).done:
            continue
        allowed.path.write_bytes(kept)
        return handle


class Unsorted(LocalBaremetal):
    def list_nodes(self, project_id, **options):
        return super().list_nodes(project_id, **options)[::-1]


class OpenToAll(LocalBaremetal):
    def get_node(self, node_id, *, project_id):
        return Node(node_id, NodeState.ACTIVE, 1 << 30)


class AnyBytes(LocalBaremetal):
    """Ends well whatever the bytes are."""

    def poll(self, handle):
        found = super().poll(handle)
        failed = found.state is ProgressState.FAILED
        return Progress(ProgressState.DONE, result="node-1") if failed else found


class AnySize(LocalBaremetal):
    def start_deploy(self, node_id, spec, token):
        source = dataclasses.replace(spec.source, virtual_size_bytes=512)
        return super().start_deploy(node_id, dataclasses.replace(spec, source=source), token)


class Heedless(LocalBaremetal):
    """Writes to what is read."""

    def open(self):
        super().open()
        self._nodes.captured = lambda node_id: False


class Silent(LocalBaremetal):
    """Reads what it does not promise to read."""

    def info(self):
        return base.DriverInfo("silent", "test", "1")

    def open_snapshot(self, snapshot_id, *, offset=0):
        return io.BytesIO()
