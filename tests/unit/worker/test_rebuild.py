"""The flow that gives servers a new system disk."""

import dataclasses

import pytest

from imagesvc import errors
from imagesvc.domain.image_property import Change
from imagesvc.interface import errors as driver_errors
from imagesvc.interface.compute import ComputeCapability
from imagesvc.worker.step import rebuild
from tests.unit.worker.conftest import CALLER

NAMES = tuple(f"s{number}" for number in range(6))


@pytest.fixture
def job(service, active_image, compute):
    """Six servers are to be rebuilt."""
    compute.servers |= dict.fromkeys(NAMES, "project")
    return service.rebuilds.start(CALLER, server_ids=NAMES, image_id=active_image.id)


def told(service, job):
    """State, and what is told of each server."""
    ended = service.jobs.get(CALLER, job.id)
    return ended.state, {one["server_id"]: one["error"] for one in ended.result.get("servers", ())}


def test_every_server_is_rebuilt_and_told_of(service, active_image, job, compute, work):
    work()
    assert told(service, job) == ("done", dict.fromkeys(NAMES, ""))
    assert compute.rebuilt == [(name, active_image.id) for name in NAMES]
    (step,) = service.jobs.get(CALLER, job.id).steps
    assert step.done_bytes == step.total_bytes == len(NAMES) * active_image.size_bytes


def test_one_that_fails_stops_no_other(service, job, compute, work):
    compute.broken = {"s0": "It has no disk.", "s4": "It is locked."}
    work()
    wanted = dict.fromkeys(NAMES, "") | compute.broken
    assert told(service, job) == ("done", wanted)
    assert len(compute.rebuilt) == 4


def test_a_server_that_went_meanwhile_is_told_of(service, job, compute, work):
    del compute.servers["s2"]
    work()
    state, servers = told(service, job)
    assert (state, servers["s2"], servers["s3"]) == ("done", "No such server.", "")


def test_a_job_that_rebuilt_none_fails(service, job, compute, work):
    compute.broken = dict.fromkeys(NAMES, "It is locked.")
    work()
    ended = service.jobs.get(CALLER, job.id)
    assert (ended.state, ended.error_text) == ("failed", "No server was rebuilt. It is locked.")


def test_only_some_are_without_their_disk_at_once(service, job, compute, work):
    compute.pending = True
    work(3)
    assert len(compute.works) == rebuild.AT_ONCE
    compute.pending = False
    work()
    assert len(compute.rebuilt) == len(NAMES)


def test_what_passes_is_tried_again_while_the_others_go_on(service, job, compute, work):
    kept, calls = compute.start_rebuild, []

    def away_first(server_id, *args, **options):
        calls.append(server_id)
        if calls.count(server_id) == 1 and server_id == "s1":
            raise driver_errors.Unavailable("Compute is away.")
        return kept(server_id, *args, **options)

    compute.start_rebuild = away_first
    work()
    assert told(service, job) == ("done", dict.fromkeys(NAMES, ""))
    assert calls.count("s1") == 2
    assert len(set(compute.tokens)) == len(NAMES)


def test_a_backend_that_stays_away_is_told_of_its_servers(service, job, compute, work):
    kept = compute.start_rebuild

    def away(server_id, *args, **options):
        if server_id == "s1":
            raise driver_errors.Unavailable("Compute is away.")
        return kept(server_id, *args, **options)

    compute.start_rebuild = away
    work()
    state, servers = told(service, job)
    assert (state, servers["s1"], servers["s5"]) == ("done", "Compute is away.", "")


def test_a_cancelled_rebuild_stops_what_is_under_way(service, job, compute, work):
    compute.pending = True
    work(1)
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert {str(work["state"]) for work in compute.works.values()} == {"cancelled"}
    assert not compute.rebuilt


@pytest.mark.parametrize("begun", [False, True])
def test_a_rebuild_whose_handle_was_lost_is_stopped_and_not_begun_for_it(
    service, job, compute, work, monkeypatch, begun
):
    kept = compute.start_rebuild

    def dies(server_id, source, token, *, project_id):
        if begun:
            kept(server_id, source, token, project_id=project_id)
        raise driver_errors.Timeout("No answer.")

    monkeypatch.setattr(compute, "start_rebuild", dies)
    compute.pending = True
    work(1)
    monkeypatch.setattr(compute, "start_rebuild", kept)
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    states = [str(one["state"]) for one in compute.works.values()]
    assert states == (["cancelled"] * len(NAMES) if begun else [])


def test_a_rebuild_is_not_begun_to_stop_it_where_nothing_finds_it(service, job, compute, work):
    compute.faults["start_rebuild"] = driver_errors.Timeout("No answer.")
    compute.faults["forestall_rebuild"] = driver_errors.NotSupported("Written for 1.1.")
    work(1)
    del compute.faults["start_rebuild"]
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert not compute.works


def test_an_image_deleted_before_it_was_read_is_the_cause(service, active_image, job, work):
    service.deletions.delete(CALLER, active_image.id)
    work()
    ended = service.jobs.get(CALLER, job.id)
    assert ended.state == "failed"
    assert errors.ImageGone(image_id=active_image.id).text in ended.error_text


def test_what_cannot_be_rebuilt_is_refused(service, active_image, compute):
    def start(**changes):
        asked = {"server_ids": ("server",), "image_id": active_image.id} | changes
        return service.rebuilds.start(CALLER, **asked)

    with pytest.raises(errors.ServerNotFound):
        start(server_ids=("server", "nobody"))
    for names in ((), ("server", "server"), tuple(map(str, range(1000)))):
        with pytest.raises(errors.InvalidRequest):
            start(server_ids=names)
    with pytest.raises(errors.ImageNotFound):
        start(image_id="none")
    compute.capabilities -= {ComputeCapability.REBUILD}
    with pytest.raises(driver_errors.NotSupported):
        start()


def test_no_server_gets_a_data_disk_or_a_whole_machine_as_its_system(service, compute, work):
    made = [
        service.captures.start(CALLER, server_id="server", name="x", **asked)[0]
        for asked in ({"disk_id": "vdb"}, {"whole": True})
    ]
    work()
    for image in made:
        with pytest.raises(errors.InvalidRequest):
            service.rebuilds.start(CALLER, server_ids=("server",), image_id=image.id)


def test_a_server_whose_capture_has_not_read_it_yet_is_not_rebuilt(
    service, active_image, capture, compute, work
):
    compute.servers["second"] = "project"

    def start(server_id):
        service.rebuilds.start(CALLER, server_ids=(server_id,), image_id=active_image.id)

    with pytest.raises(errors.Conflict, match="captured"):
        start("server")
    start("second")
    compute.pending = True
    work(1)
    with pytest.raises(errors.Conflict, match="captured"):
        start("server")
    compute.pending = False
    work()
    start("server")


def test_an_image_that_asks_for_a_larger_disk_is_refused(service, active_image, compute):
    change = Change("replace", ("min_disk_gib",), 1)
    service.images.patch(CALLER, active_image.id, (change,))
    with pytest.raises(errors.InvalidRequest, match="1 GiB"):
        service.rebuilds.start(CALLER, server_ids=("server",), image_id=active_image.id)


@pytest.mark.parametrize(("architecture", "fits"), [("aarch64", False), ("x86_64", True)])
def test_an_image_for_other_processors_is_refused(service, active_image, architecture, fits):
    change = Change("add", ("architecture",), architecture)
    service.images.patch(CALLER, active_image.id, (change,))
    asked = {"server_ids": ("server",), "image_id": active_image.id}
    if fits:
        assert service.rebuilds.start(CALLER, **asked)
        return
    with pytest.raises(errors.InvalidRequest, match="x86_64, the image for aarch64"):
        service.rebuilds.start(CALLER, **asked)


@pytest.mark.parametrize(("memory_mib", "fits"), [(64, False), (128, True), (None, True)])
def test_an_image_that_asks_for_more_memory_than_is_known_is_refused(
    service, active_image, compute, monkeypatch, memory_mib, fits
):
    kept = compute.get_server
    monkeypatch.setattr(
        compute,
        "get_server",
        lambda *args, **options: dataclasses.replace(kept(*args, **options), memory_mib=memory_mib),
    )
    service.images.patch(CALLER, active_image.id, (Change("replace", ("min_ram_mib",), 128),))
    asked = {"server_ids": ("server",), "image_id": active_image.id}
    if fits:
        assert service.rebuilds.start(CALLER, **asked)
        return
    with pytest.raises(errors.InvalidRequest, match="64 MiB of memory, the image asks for 128"):
        service.rebuilds.start(CALLER, **asked)


def test_drivers_are_told_the_system_of_an_image(service, active_image):
    service.images.patch(CALLER, active_image.id, (Change("add", ("os_type",), "windows"),))
    image = service.images.get(CALLER, active_image.id)
    source = service.image_files.image_source(CALLER, image, job_id="of-the-test")
    assert source.os_type == "windows"


def test_the_same_key_is_the_same_rebuild(service, active_image, compute):
    first, again = (
        service.rebuilds.start(
            CALLER, server_ids=("server",), image_id=active_image.id, idempotency_key="one"
        )
        for _ in range(2)
    )
    assert first.id == again.id


def test_a_reader_may_not_rebuild_and_that_is_in_the_trail(service, active_image):
    reader = dataclasses.replace(CALLER, roles=frozenset({"reader"}))
    with pytest.raises(errors.Forbidden):
        service.rebuilds.start(reader, server_ids=("server",), image_id=active_image.id)
    (event,) = service.audits.query(CALLER, action="server:rebuild")
    assert event.outcome == "denied"
