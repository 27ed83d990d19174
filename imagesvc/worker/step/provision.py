"""Servers from an image."""

import dataclasses
from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.db import image as image_rows
from imagesvc.db import image_disk
from imagesvc.domain.image import Image
from imagesvc.domain.server import GIB, data_disks
from imagesvc.interface.compute import ComputeDriver, EmptyDisk, ServerSpec
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle
from imagesvc.worker import image_sight, kept_source, remote_work
from imagesvc.worker.flow import Step, StepContext, Wait

POLL_S = 0.3


class CreateServers(Step):
    """Create and start the servers; memo: asked (facts of the images), handle, result (servers with
    id or error).
    """

    name = "provision"
    final = True

    def run(self, ctx: StepContext) -> Wait | None:
        """Start it once, then ask how far it is. Raises ImageGone if the caller sees no such image."""
        driver = _driver(ctx)
        crashpoint("step.provision.begin")
        # Here, not at the start: `undo` starts lost work again to find it, and ends it.
        if "handle" not in ctx.memo:
            for image_id in ctx.job.images_read:
                image_sight.visible(ctx, image_id)
        handle = ctx.memo.once("handle", lambda: _start(ctx, driver))
        crashpoint("step.provision.started")
        answer = remote_work.follow(ctx, driver, handle, POLL_S, "No server could be created.")
        if isinstance(answer, Wait):
            return answer
        ctx.memo["result"] = {"servers": list(answer)}
        crashpoint("step.provision.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Stop the creation and remove what it made."""
        if "asked" not in ctx.memo:
            return None
        driver = _driver(ctx)
        servers = ctx.memo.get("result", {}).get("servers")
        if servers is None:
            servers = remote_work.withdraw(ctx, driver, lambda: _find(ctx, driver), POLL_S)
            if isinstance(servers, Wait):
                return servers
        for server in servers or ():
            if server["server_id"]:
                driver.delete_server(server["server_id"], project_id=ctx.job.project_id)
        return None


def _driver(ctx: StepContext) -> ComputeDriver:
    return ctx.service.backends.compute(ctx.job.args["compute_id"])


def _start(ctx: StepContext, driver: ComputeDriver) -> Handle:
    """Begin, with what is true of the images now; it is kept first."""
    spec = _spec(ctx)
    ctx.memo["asked"] = _kept(spec)
    return _ask(ctx, driver, spec)


def _find(ctx: StepContext, driver: ComputeDriver) -> Handle:
    """What was begun, though its images may be gone."""
    kept = ctx.memo["asked"]
    # Workers of releases before kept no facts.
    return _ask(ctx, driver, _spec(ctx) if kept is True else _spec_again(ctx, kept))


def _ask(ctx: StepContext, driver: ComputeDriver, spec: ServerSpec) -> Handle:
    return driver.start_create(spec, ctx.job.args["count"], ctx.request_token)


def _spec(ctx: StepContext) -> ServerSpec:
    args = ctx.job.args
    image = _image(ctx, ctx.job.image_id or "")
    disks, empty = _disks(ctx, image)
    return ServerSpec(
        name=args["name"],
        project_id=ctx.job.project_id,
        disks=disks,
        memory_mib=args["memory_mib"],
        vcpus=args["vcpus"],
        disk_bytes=image.min_disk_gib * GIB,
        os_type=image.os_type or _found_os(ctx, image) or "linux",
        architecture=image.architecture or "x86_64",
        image_id=image.id,
        empty_disks=empty,
    )


def _kept(spec: ServerSpec) -> dict[str, Any]:
    """A spec as JSON, without secrets."""
    disks = [kept_source.plain(source) for source in spec.disks]
    empty = [dataclasses.asdict(disk) for disk in spec.empty_disks]
    facts = {each.name: getattr(spec, each.name) for each in dataclasses.fields(spec)}
    facts["metadata"] = dict(spec.metadata)
    return facts | {"disks": disks, "empty_disks": empty}


def _spec_again(ctx: StepContext, kept: dict[str, Any]) -> ServerSpec:
    names = {each.name for each in dataclasses.fields(ServerSpec)}  # of this release
    known = {name: each for name, each in kept.items() if name in names}
    disks = tuple(kept_source.again(ctx, each) for each in kept["disks"])
    empty = tuple(EmptyDisk(**each) for each in kept["empty_disks"])
    return ServerSpec(**known | {"disks": disks, "empty_disks": empty})


def _disks(ctx: StepContext, image: Image) -> tuple[tuple[ImageSource, ...], tuple[EmptyDisk, ...]]:
    """All disks of the image, then the data disks that were asked for."""
    sources = list(ctx.service.image_files.image_sources(ctx.caller, image, job_id=ctx.job.id))
    empty: list[EmptyDisk] = []
    for disk in data_disks(ctx.job.args):
        if disk.image_id is None:
            empty.append(EmptyDisk(len(sources) + len(empty), disk.size_bytes))
        else:
            data = _image(ctx, disk.image_id)
            sources.append(
                ctx.service.image_files.image_source(ctx.caller, data, job_id=ctx.job.id)
            )
    return tuple(sources), tuple(empty)


def _image(ctx: StepContext, image_id: str) -> Image:
    with ctx.service.database.read() as conn:
        image = image_rows.get(conn, image_id)
    if image is None:
        raise errors.ImageGone(image_id=image_id)
    return image


def _found_os(ctx: StepContext, image: Image) -> str | None:
    """The system that was found on the image's first disk."""
    with ctx.service.database.read() as conn:
        guests = [disk.guest for disk in image_disk.list_for(conn, image.id)]
    return guests[0].os_type if guests and guests[0] else None
