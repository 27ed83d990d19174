"""Servers that Nova makes for one token, however often and by however many that is asked.

Nova knows no such token, so each server is born with tags: of the work, and of the one request
that made it. Should two requests of one work have gone through, the servers of the first stay.
Owners of servers may change names and metadata: what is spoiled there counts as if it were not.
"""

import json
import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
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
_NUMBER = re.compile(r"[0-9]{1,9}")
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
        try:
            self._end(asked.project_id, servers, failed)
        except errors.NotFound:  # a cancel took it meanwhile: the next look says what is left
            return Progress(ProgressState.RUNNING)
        known = {**_errors(servers), **failed}
        good = {number: servers[number] for number in servers.keys() - failed.keys()}
        made = [_told(good, known, number) for number in range(int(asked.subject))]
        return Progress(ProgressState.DONE, result=made)

    def cancel(self, asked: work.Work) -> None:
        """Delete what was made, unless it has ended well."""
        if not _is_told(self._chosen(asked).values()):
            every = self._servers.tagged(asked.project_id, _WORK + asked.mark)
            self._remove(asked.project_id, every)

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
        return _numbered(by_request[first], int(asked.subject))

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


def _is_told(servers: Collection[Any]) -> bool:
    """Whether a creation has ended well, so that whoever followed may have been told."""
    return any(_ended(server) for server in servers) and all(
        _ended(server) or server_view.state(server) is ServerState.ERROR for server in servers
    )


def _numbered(servers: Sequence[Any], count: int) -> dict[int, Any]:
    """Place in the result -> server; those whose name tells none get the places that are free.

    Places of servers that failed come last, for what is known of them stands there.
    """
    known: dict[int, Any] = {}
    others: list[Any] = []
    for server in sorted(servers, key=lambda each: (each.created_at or "", each.id)):
        number = _number(server, count)
        if number is None or number in known:
            others.append(server)
        else:
            known[number] = server
    failed = _errors({server.id: server for server in servers})
    free = sorted(set(range(count)) - known.keys(), key=lambda number: (number in failed, number))
    return known | dict(zip(free, others, strict=False))


def _number(server: Any, count: int) -> int | None:
    """What its name tells: Nova names them name-1, name-2, ... if there are several."""
    tail = server.name.rpartition("-")[2]
    number = int(tail) - 1 if count > 1 and _NUMBER.fullmatch(tail) else 0 if count == 1 else -1
    return number if 0 <= number < count else None


def _text(failed: dict[int, str]) -> str:
    """Errors by number, in the room that Nova has for them."""
    kept: dict[str, str] = {}
    for number, error in failed.items():
        more = {**kept, str(number): error[:_ERROR_CHARS_MAX]}
        if len(json.dumps(more)) > _ERRORS_CHARS_MAX:
            break
        kept = more
    return json.dumps(kept)


def _errors(servers: Mapping[Any, Any]) -> dict[int, str]:
    """What `_text` kept; nothing where it was spoiled."""
    for server in servers.values():
        try:
            found = json.loads((server.metadata or {}).get(_ERRORS, ""))
            return {int(number): str(error) for number, error in found.items()}
        except (ValueError, AttributeError, RecursionError):
            continue
    return {}


def _told(good: dict[int, Any], failed: dict[int, str], number: int) -> dict[str, Any]:
    """The fields of CreatedServer."""
    if number in good:
        return {"server_id": good[number].id, "error": ""}
    return {"server_id": None, "error": failed.get(number) or "Nova could not make the server."}
