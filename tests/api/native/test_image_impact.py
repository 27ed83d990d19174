"""What uses an image is told before something is done to it."""

import pytest
import sqlalchemy as sa

from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import image_table, job_table, metadata
from imagesvc.domain.job import JobType
from imagesvc.interface.compute import Server, ServerState
from imagesvc.interface.errors import Unavailable
from imagesvc.interface.identity import Project
from tests.api.caller import Caller
from tests.api.native.tus import work

ROOT = "/imagesvc/v1"


@pytest.fixture
def owner(each_app):
    """A member of a project of its own."""
    return Caller(each_app)


class Paper:
    """Servers of projects, on paper: 205 a project, of which the last two are of an image."""

    def __init__(self, image_id, *projects):
        self.image_id = image_id
        self.projects = projects

    def list_projects(self):
        return [Project(one, one, "default") for one in self.projects]

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


def test_an_administrator_is_told_of_every_project_that_uses_a_public_image(
    each_app, owner, monkeypatch
):
    admin = Caller(each_app, None, "admin", "member")
    image_id = admin.active(visibility="public")
    paper = Paper(image_id, owner.project, "another")
    monkeypatch.setattr(Backends, "get", lambda self, kind, backend_id=None: paper)
    uses = impact(admin, image_id)["uses"]
    servers = [one["project_id"] for one in uses if one["kind"] == "server"]
    assert sorted(servers) == sorted([admin.project, owner.project, "another"] * 2)


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


def test_children_the_family_and_copies_in_other_regions_are_told(each_service, owner):
    image_id, child, newer = owner.active(), owner.active(), owner.active()
    table = image_table.TABLE
    caller = RequestContext("u", owner.project, frozenset({"member"}))
    with each_service.database.write() as conn:
        for one, values in (
            (child, {"parent_image_id": image_id}),
            (image_id, {"family": "debian", "family_version": "13.1"}),
            (newer, {"family": "debian", "family_version": "13.2"}),
        ):
            conn.execute(sa.update(table).where(table.c.id == one).values(**values))
        args = {"region": "west", "project": "p"}
        job = each_service.jobs.submit(
            conn, caller, JobType.COPY_TO_REGION, args, image_id=image_id
        )
        jobs, result = job_table.TABLE, {"image_id": "there", "region": "West"}
        ended = {"state": "done", "finished_at": metadata.now(), "result": result}
        conn.execute(sa.update(jobs).where(jobs.c.id == job.id).values(**ended))
    told = {
        (one["kind"], one["id"], one["name"], one["state"])
        for one in impact(owner, image_id)["uses"]
    }
    assert ("image", child, None, "active") in told
    assert ("family", "debian", "13.1", "older") in told
    assert ("region-copy", "there", "West", "done") in told
    found = impact(owner, newer)["uses"]
    assert [(one["kind"], one["state"]) for one in found] == [("family", "newest")]


def test_nobody_else_is_told(each_app, owner):
    image_id = owner.active(visibility="community")
    stranger = Caller(each_app)
    assert stranger.get(f"{ROOT}/images/{image_id}/impact").status_code == 403
    assert stranger.get(f"{ROOT}/images/{owner.active()}/impact").status_code == 404
