"""A server's folder in the words of the contract."""

import datetime

from imagesvc.interface import compute
from imagesvc.interface.compute import Server, ServerState
from imagesvc_drivers.compute.qemu import attach, command_line, process, server_folder


def describe(folder: server_folder.ServerFolder, server: server_folder.ServerRecord) -> Server:
    """What the server is, and whether its process lives."""
    known = folder.process()
    state = ServerState.BUILDING
    if server.built and known is not None:
        running = process.find(folder) is not None
        state = ServerState.RUNNING if running else ServerState.STOPPED
    return Server(
        server_id=server.server_id,
        project_id=server.project_id,
        name=server.name,
        state=state,
        os_type=server.os_type,
        architecture=server.architecture,
        disks=tuple(
            compute.ServerDisk(
                disk.disk_id, disk.size_bytes, boot=index == 0, serial=command_line.serial(disk)
            )
            for index, disk in enumerate(server.disks)
        ),
        image_id=server.image_id,
        created_at=datetime.datetime.fromisoformat(server.created_at),
        volumes=tuple(each.volume_id for each in attach.read(folder)),
        memory_mib=server.memory_mib,
        detail=f"accelerator {known['accelerator']}" if known else "",
    )
