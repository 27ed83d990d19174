"""An API process killed around the commit of any change: all of it, with its record, or nothing."""

import http.client
import json

import pytest
import sqlalchemy as sa

from imagesvc.context import RequestContext
from imagesvc.db import metadata
from imagesvc.worker import reaper
from tests.crash.points import thinned
from tests.crash.station import until
from tests.crash.test_capture import create, run_here, upload
from tests.crash.test_upload import compared

POINTS = ("operation.recorded", "operation.committed")
V1 = "/imagesvc/v1"


def prepare_image(station, guest):
    return {"image": upload(station, guest).id}


def prepare_deactivated(station, guest):
    made = prepare_image(station, guest)
    station.service.images.deactivate(station.caller, made["image"])
    return made


def prepare_offer(station, guest):
    """Another project offers an image to the caller's."""
    offerer = RequestContext("other", "other", frozenset({"member"}))
    caller, station.caller = station.caller, offerer
    made = prepare_image(station, guest)
    station.caller = caller
    station.service.members.add(offerer, made["image"], caller.project_id)
    return made


def prepare_server(station, guest):
    job = run_here(station, create(station, upload(station, guest)))
    return {"server": job.result["servers"][0]["server_id"]}


def prepare_job(station, guest):
    return {"job": create(station, upload(station, guest)).id}


def prepare_cancelled_capture(station, guest):
    made = prepare_server(station, guest)
    image, job = station.service.captures.start(
        station.caller, server_id=made["server"], name="captured"
    )
    station.service.jobs.cancel(station.caller, job.id)
    return made | {"job": job.id, "image": image.id}


def status_of(station, made):
    return station.service.images.get(station.caller, made["image"]).status


def job_state(station, made):
    return station.job(made["job"]).state


def members(station, made):
    found = station.service.members.list(station.caller, made["image"])
    return [(one.member_id, one.status) for one in found]


def live_images(station, made):
    with station.service.database.read() as conn:
        return conn.scalars(sa.text("SELECT status FROM image ORDER BY status")).all()


def open_jobs(station, made):
    return [job.type for job in station.service.jobs.list(station.caller, state="ready")]


# name: (what is there before, method, path, body, what to look at, how it is after)
CASES = {
    "delete": (prepare_image, "DELETE", "/v2/images/{image}", None, live_images, ["deleted"]),
    "deactivate": (
        prepare_image, "POST", "/v2/images/{image}/actions/deactivate", None, status_of,
        "deactivated",
    ),
    "reactivate": (
        prepare_deactivated, "POST", "/v2/images/{image}/actions/reactivate", None, status_of,
        "active",
    ),
    "share": (
        prepare_image, "POST", "/v2/images/{image}/members", {"member": "friend"}, members,
        [("friend", "pending")],
    ),
    "accept": (
        prepare_offer, "PUT", "/v2/images/{image}/members/{project}", {"status": "accepted"},
        members, [("{project}", "accepted")],
    ),
    "create servers": (
        prepare_image, "POST", f"{V1}/servers", {"image_id": "{image}", "name": "x"}, open_jobs,
        ["create-servers"],
    ),
    "capture": (
        prepare_server, "POST", f"{V1}/captures", {"server_id": "{server}", "name": "x"},
        open_jobs, ["capture-system-disk"],
    ),
    "cancel": (prepare_job, "POST", f"{V1}/jobs/{{job}}/cancel", None, job_state, "cancelled"),
    "retry": (
        prepare_cancelled_capture, "POST", f"{V1}/jobs/{{job}}/retry", None, status_of, "importing"
    ),
}  # fmt: skip


def filled(value, facts):
    """The value with the facts of the station in its texts."""
    if isinstance(value, str):
        return value.format(**facts)
    if isinstance(value, dict):
        return {key: filled(item, facts) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(filled(item, facts) for item in value)
    return value


def rows(station):
    """All rows of all tables but the named leases."""
    with station.service.database.read() as conn:
        return {
            table.name: sorted(map(repr, conn.execute(sa.select(table)).all()))
            for table in metadata.METADATA.sorted_tables
            if table.name != "lease"
        }


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(
    "name", thinned(tuple(CASES), "delete", "share", "capture", rest=pytest.mark.soak)
)
def test_a_change_and_its_record_are_there_wholly_or_not_at_all(station, guest, name, point):
    prepare, method, path, body, look, after = CASES[name]
    facts = prepare(station, guest) | {"project": station.caller.project_id}
    before = rows(station)
    station.start("api", point)
    until(station.ready)
    headers = {"X-Auth-Token": station.token(), "Content-Type": "application/json"}
    request = (method, filled(path, facts), json.dumps(filled(body, facts)) if body else None)
    with pytest.raises((OSError, http.client.HTTPException)):
        station.call(*request, headers)
    until(lambda: station.died)
    if point == "operation.recorded":
        assert rows(station) == before
        until(station.ready)
        assert station.call(*request, headers)[0] in (200, 202, 204)
    assert look(station, facts) == filled(after, facts)
    records = set(rows(station)["audit"]) - set(before["audit"])
    assert len(records) == 1
    until(lambda: reaper.run(station.service) == 0)
    assert compared(station) == []
