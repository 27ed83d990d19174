"""What uses an image is told before something is done to it."""

import pytest

from imagesvc.backend.registry import Backends
from imagesvc.interface.compute import Server, ServerState
from imagesvc.interface.errors import Unavailable
from tests.api.caller import Caller
from tests.api.native.tus import work

ROOT = "/imagesvc/v1"


@pytest.fixture
def owner(each_app):
    """A member of a project of its own."""
    return Caller(each_app)


class Paper:
    """Servers of projects, on paper: 205 a project, of which the last two are of an image."""

    def __init__(self, image_id):
        self.image_id = image_id

    def list_servers(self, project_id, *, after=None, limit=100):
        begin = int(after or -1) + 1
        return [
            Server(
                server_id=f"{n:04}", name=f"s{n}", state=ServerState.RUNNING,
                project_id=project_id, os_type="linux", architecture="x86_64", disks=(),
                image_id=self.image_id if n > 202 else "another",
            )
            for n in range(begin, min(begin + limit, 205))
        ]  # fmt: skip

    def list_volumes(self, project_id, *, after=None, limit=100):
        raise Unavailable("away")


def impact(caller, image_id):
    found = caller.get(f"{ROOT}/images/{image_id}/impact")
    assert found.status_code == 200, found.text
    return found.json["impact"]


def test_servers_members_copies_and_jobs_are_told(each_app, each_service, owner, monkeypatch):
    image_id, other = owner.active(), Caller(each_app)
    owner.share(image_id, other.project, "accepted")
    made = owner.request("POST", f"{ROOT}/images/{image_id}/copy", {"name": "copy"}).json
    monkeypatch.setattr(Backends, "get", lambda self, kind, backend_id=None: Paper(image_id))
    found = impact(owner, image_id)
    assert found["members"] == [{"project_id": other.project, "status": "accepted"}]
    told = sorted((one["kind"], one["id"], one["project_id"]) for one in found["uses"])
    servers = [
        ("server", name, project)
        for name in ("0203", "0204")
        for project in (owner.project, other.project)
    ]
    assert told == sorted([("image", made["image_id"], owner.project), *servers])
    assert found["unknown"] == ["volume local"]
    busy = impact(owner, made["image_id"])["uses"]
    assert [(one["kind"], one["id"]) for one in busy] == [("job", made["job"]["id"])]
    monkeypatch.undo()
    work(each_service)


def test_nobody_else_is_told(each_app, owner):
    image_id = owner.active(visibility="community")
    stranger = Caller(each_app)
    assert stranger.get(f"{ROOT}/images/{image_id}/impact").status_code == 403
    assert stranger.get(f"{ROOT}/images/{owner.active()}/impact").status_code == 404
