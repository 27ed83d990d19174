"""Servers that Nova makes for one token, however often and by however many that is asked.

Nova knows no such token, so each server is born with tags: of the work, and of the one request
that made it. Should two requests of one work have gone through, the servers of the first stay.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.compute import ServerSpec, ServerState
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc_drivers.client import openstack
from imagesvc_drivers.compute.nova import flavor, image_facts, server_call, server_view, work

_WORK = "imagesvc-work-"
_REQUEST = "imagesvc-request-"
_ENDED = "imagesvc-ended"
_ERRORS = "imagesvc_errors"
_ERRORS_CHARS_MAX = 255
_ERROR_CHARS_MAX = 60


class Creation:
    """Starts, follows and takes back the making of servers."""

    def __init__(
        self,
        cloud: openstack.Cloud,
        servers: server_call.Servers,
        images: image_facts.Images,
        options: Any,
    ) -> None:
        self._cloud = cloud
        self._servers = servers
        self._images = images
        self._options = options

    def start(self, spec: ServerSpec, count: int, token: str) -> Handle:
        """Ask Nova once. Raises NotSupported for more than a system disk, or one of no image."""
        if len(spec.disks) > 1 or spec.empty_disks:
            raise errors.NotSupported("Servers of this compute backend have a system disk alone.")
        if spec.image_id is None:
            raise errors.NotSupported("Nova makes servers of images alone; make an image first.")
        if count < 1:
            raise errors.InvalidArgument("count is at least 1.")
        mark = work.mark(token)
        if not self._servers.tagged(spec.project_id, _WORK + mark):
            crashpoint("compute.nova.create_looked")
            refusal = self._ask(spec, count, mark)
            if refusal:
                return work.refused(refusal)
            crashpoint("compute.nova.create_asked")
        return work.Work(work.CREATE, spec.project_id, str(count), mark).handle

    def poll(self, asked: work.Work) -> Progress:
        """How far it is; what ended well is written down in the servers, what did not is removed.

        CANCELLED where there is nothing, or nothing any more.
        """
        servers = self._chosen(asked)
        if not servers:
            return Progress(ProgressState.CANCELLED)
        if any(_building(server) for server in servers.values()):
            return Progress(ProgressState.RUNNING)
        failed = {
            number: server_view.fault(server) or "Nova could not make the server."
            for number, server in servers.items()
            if server_view.state(server) is ServerState.ERROR and not _ended(server)
        }
        if len(failed) == len(servers):
            self._remove(asked.project_id, servers.values())
            return Progress(ProgressState.FAILED, error=next(iter(failed.values())))
        self._end(asked.project_id, servers, failed)
        known = {**_errors(servers), **failed}
        made = [_told(servers, known, number) for number in range(int(asked.subject))]
        return Progress(ProgressState.DONE, result=made)

    def cancel(self, asked: work.Work) -> None:
        """Delete what was made, unless it has ended well."""
        if self.poll(asked).state is ProgressState.DONE:
            return
        self._remove(asked.project_id, self._servers.tagged(asked.project_id, _WORK + asked.mark))

    def _ask(self, spec: ServerSpec, count: int, mark: str) -> str:
        """Send the request; gives why it was not sent, or nothing."""
        source = spec.disks[0]
        try:
            image = self._images.get(spec.project_id, source.image_id)
        except errors.NotFound:
            return f"Nova's image service has no image {source.image_id}."
        if image.hash_value != source.digest:
            return "The image's bytes are not those that were stored."
        with self._cloud.calling():
            compute = self._cloud.project(spec.project_id).compute
            chosen = flavor.choose(
                compute.flavors(), spec, zero_disk=self._options.zero_disk_flavors
            )
            if chosen is None:
                return (
                    f"No flavor of the cloud has {spec.memory_mib} MiB, {spec.vcpus} processors and "
                    "room for the image."
                )
            compute.create_server(
                name=spec.name,
                image_id=source.image_id,
                flavor_id=chosen.id,
                networks=self._networks(),
                min_count=count,
                max_count=count,
                metadata=dict(spec.metadata),
                tags=[_WORK + mark, _REQUEST + uuid.uuid4().hex],
            )
        return ""

    def _networks(self) -> Any:
        words: list[str] = self._options.networks
        return words[0] if words in (["auto"], ["none"]) else [{"uuid": word} for word in words]

    def _chosen(self, asked: work.Work) -> dict[int, Any]:
        """Number -> server, of the request that counts; those of others are deleted."""
        servers = self._servers.tagged(asked.project_id, _WORK + asked.mark)
        if not servers:
            return {}
        by_request: dict[str, list[Any]] = {}
        for server in servers:
            by_request.setdefault(_request(server), []).append(server)
        first = min(by_request, key=lambda name: _rank(name, by_request[name]))
        for name in by_request.keys() - {first}:
            self._remove(asked.project_id, by_request[name])
        return {_number(server, asked): server for server in by_request[first]}

    def _end(self, project_id: str, servers: dict[int, Any], failed: dict[int, str]) -> None:
        """Say in the servers that the work is over, and remove those that failed."""
        good = [servers[number] for number in sorted(servers.keys() - failed.keys())]
        with self._cloud.calling():
            compute = self._cloud.project(project_id).compute
            if failed:
                compute.set_server_metadata(good[0], **{_ERRORS: _text(failed)})
            crashpoint("compute.nova.create_ending")
            for server in good:
                if not _ended(server):
                    compute.add_tag_to_server(server, _ENDED)
        self._remove(project_id, [servers[number] for number in failed])

    def _remove(self, project_id: str, servers: Iterable[Any]) -> None:
        for server in servers:
            self._servers.delete(project_id, server.id)


def _request(server: Any) -> str:
    return next((tag for tag in server.tags or () if tag.startswith(_REQUEST)), "")


def _rank(name: str, servers: Sequence[Any]) -> tuple[bool, str, str]:
    """Whoever has been told of comes first, then who was first."""
    return not any(_ended(server) for server in servers), servers[0].created_at or "", name


def _ended(server: Any) -> bool:
    return _ENDED in (server.tags or ())


def _building(server: Any) -> bool:
    """Whether it is still to be made; later it may be rebuilt."""
    return server_view.state(server) is ServerState.BUILDING and not _ended(server)


def _number(server: Any, asked: work.Work) -> int:
    """Its place in the result: Nova names them name-1, name-2, ... if there are several."""
    tail = server.name.rpartition("-")[2]
    return int(tail) - 1 if int(asked.subject) > 1 and tail.isdecimal() else 0


def _text(failed: dict[int, str]) -> str:
    """Errors by number, in the room that Nova has for them."""
    kept: dict[str, str] = {}
    for number, error in failed.items():
        more = {**kept, str(number): error[:_ERROR_CHARS_MAX]}
        if len(json.dumps(more)) > _ERRORS_CHARS_MAX:
            break
        kept = more
    return json.dumps(kept)


def _errors(servers: dict[int, Any]) -> dict[int, str]:
    """What `_text` kept."""
    texts = [server.metadata[_ERRORS] for server in servers.values() if _ERRORS in server.metadata]
    return {int(number): error for text in texts[:1] for number, error in json.loads(text).items()}


def _told(servers: dict[int, Any], failed: dict[int, str], number: int) -> dict[str, Any]:
    """The fields of CreatedServer."""
    if number in servers and number not in failed:
        return {"server_id": servers[number].id, "error": ""}
    return {"server_id": None, "error": failed.get(number) or "Nova could not make the server."}
