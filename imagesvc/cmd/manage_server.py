"""imagesvc-manage server: servers that go on running while the service does not."""

import argparse
from collections.abc import Iterator

from imagesvc.backend.registry import Backends
from imagesvc.cmd import command_line
from imagesvc.interface import compute

PAGE = 100


def list_running(parsed: argparse.Namespace) -> int:
    """Show the running servers of all projects of the default compute backend."""
    backends = Backends(command_line.load(parsed))
    backends.open(monitor=False)
    for project, server in _running(backends):
        print(f"{server.server_id} {server.name} (project {project})")
    backends.close()
    return 0


def stop_running(parsed: argparse.Namespace) -> int:
    """Power off the running servers of all projects; their disks stay."""
    backends = Backends(command_line.load(parsed))
    backends.open(monitor=False)
    for project, server in list(_running(backends)):
        backends.compute().stop_server(server.server_id, project_id=server.project_id)
        print(f"stopped {server.server_id} {server.name} (project {project})")
    backends.close()
    return 0


def _running(backends: Backends) -> Iterator[tuple[str, compute.Server]]:
    """Project name and server, page by page."""
    for project in backends.identity().list_projects():
        after: str | None = None
        while page := backends.compute().list_servers(project.project_id, after=after, limit=PAGE):
            for server in page:
                if server.state is compute.ServerState.RUNNING:
                    yield project.name, server
            after = page[-1].server_id
