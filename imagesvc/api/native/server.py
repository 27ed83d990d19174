"""Servers made from images."""

import dataclasses
import datetime
from typing import Annotated

import falcon
import msgspec

from imagesvc import errors
from imagesvc.api import validate
from imagesvc.api.native import family, idempotency, query, views
from imagesvc.domain.server import GIB, DataDisk
from imagesvc.manager import server as servers

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewDataDisk(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A data disk: either `image_id`, or `size_gib` for an empty one."""

    image_id: Id | None = None
    size_gib: Annotated[int, msgspec.Meta(ge=1, le=65_536)] | None = None

    def disk(self) -> DataDisk:
        """As the manager takes it. Raises InvalidRequest unless it is one of the two."""
        if (self.image_id is None) == (self.size_gib is None):
            raise errors.InvalidRequest("A data disk has either image_id or size_gib.")
        return DataDisk(self.image_id, (self.size_gib or 0) * GIB)


class NewServers(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a creation; `memory_mib` in MiB. Defaults suit the smallest guests."""

    image_id: Id
    name: Name
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    memory_mib: Annotated[int, msgspec.Meta(ge=16, le=16_777_216)] = 64
    vcpus: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    data_disks: Annotated[tuple[NewDataDisk, ...], msgspec.Meta(max_length=64)] = ()
    compute_id: Id | None = None


def _backend(req: falcon.Request) -> str | None:
    """The compute backend that is named in the query, if one is."""
    query.known(req, {"compute_id"})
    return query.text(req, "compute_id")


class ServersResource:
    """The project's servers."""

    def __init__(self, manager: servers.ServerManager, find: family.Find) -> None:
        self._servers = manager
        self._find = find

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List by id."""
        page = query.page(req, {"compute_id"})
        found = self._servers.list(
            req.context.caller,
            compute_id=query.text(req, "compute_id"),
            marker=page.marker,
            limit=page.limit,
        )
        resp.media = query.answer("servers", found, page, views.server, lambda s: s.server_id)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start a job that creates one or many."""
        body = validate.body(req, NewServers)
        job = self._servers.create(
            req.context.caller,
            image_id=family.image_id(self._find, req, resp, body.image_id),
            name=body.name,
            count=body.count,
            memory_mib=body.memory_mib,
            vcpus=body.vcpus,
            data_disks=[self._named(req, resp, disk.disk()) for disk in body.data_disks],
            compute_id=body.compute_id,
            idempotency_key=idempotency.key(req),
        )
        resp.status = falcon.HTTP_202
        resp.media = {"job": views.job(job, datetime.datetime.now(datetime.UTC))}

    def _named(self, req: falcon.Request, resp: falcon.Response, disk: DataDisk) -> DataDisk:
        if disk.image_id is None:
            return disk
        found = family.image_id(self._find, req, resp, disk.image_id)
        return dataclasses.replace(disk, image_id=found)


class ServerResource:
    """One server."""

    def __init__(self, manager: servers.ServerManager) -> None:
        self._servers = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show it."""
        found = self._servers.get(req.context.caller, server_id, compute_id=_backend(req))
        resp.media = {"server": views.server(found)}

    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """End it and remove its disks."""
        self._servers.delete(req.context.caller, server_id, compute_id=_backend(req))
        resp.status = falcon.HTTP_204


class ServerStartResource:
    """Booting a server."""

    def __init__(self, manager: servers.ServerManager) -> None:
        self._servers = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Boot it; a running one is success."""
        self._servers.start(req.context.caller, server_id, compute_id=_backend(req))
        resp.status = falcon.HTTP_204


class ServerStopResource:
    """Powering a server off."""

    def __init__(self, manager: servers.ServerManager) -> None:
        self._servers = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Power it off; a stopped one is success."""
        self._servers.stop(req.context.caller, server_id, compute_id=_backend(req))
        resp.status = falcon.HTTP_204
