"""Routes and commands of our own API stand in its documentation."""

import importlib.metadata
from pathlib import Path

from imagesvc.api.native import route

TEXT = (Path(__file__).parents[3] / "docs" / "api" / "native.rst").read_text("utf-8")


class Table:
    """Takes routes as the app would."""

    def __init__(self):
        self.paths = []

    def add_route(self, path, resource):
        """Keep the path, ids shortened as in the text."""
        short = path.removeprefix(route.PREFIX)
        for name in (
            "server_id", "volume_id", "backup_id", "node_id", "job_id", "image_id", "upload_id",
            "object_store_id", "key_id", "agency_id",
        ):  # fmt: skip
            short = short.replace("{" + name + "}", "{id}")
        self.paths.append(short.replace("{disk}", "{n}"))


class Anything:
    """Stands for a service: routes only hand managers on."""

    def __getattr__(self, name):
        return self


def test_every_route_is_documented():
    table = Table()
    route.add_routes(table, Anything())
    assert [path for path in table.paths if path not in TEXT] == []


def test_every_command_is_documented():
    found = importlib.metadata.entry_points(group="imagesvc.shell")
    names = {point.name.replace("_", " ") for point in found}
    assert names
    assert {name for name in names if f"``{name}``" not in TEXT} == set()
