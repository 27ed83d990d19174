"""What stands on a node of Ironic, as the driver reads it."""

import dataclasses

import pytest

from imagesvc.interface.baremetal import NodeState
from imagesvc.interface.operation import ProgressState
from imagesvc_drivers.baremetal.ironic import node, work
from imagesvc_drivers.baremetal.ironic.node import Mark
from imagesvc_drivers.baremetal.ironic.work import Next

NODE_ID = "0b0d2f6e-7f3c-4a54-9b0e-2f8f5b9d8c11"
EARLY, LATE = "2026-11-29T10:00:00+00:00", "2026-11-29T10:00:01+00:00"
DEPLOYMENT = Mark("w", work.DEPLOY, "p", "i", "ours", EARLY, fresh=True)
ERASURE = Mark("w", work.UNDEPLOY, "p", "i", "ours", EARLY)


def node_of(state="available", mark=None, **fields):
    """A node as Ironic gives it."""
    extra = {} if mark is None else {"extra": {node.MARK: dataclasses.asdict(mark)}}
    known = {
        "uuid": NODE_ID, "provision_state": state, "provision_updated_at": LATE,
        "last_error": None, "properties": {"local_gb": "10"}, "resource_class": "gold",
    }  # fmt: skip
    return known | extra | fields


@pytest.mark.parametrize(
    ("state", "mark", "changes", "expected"),
    [
        ("available", DEPLOYMENT, {"provision_updated_at": EARLY}, Next.ASK),
        ("deploying", DEPLOYMENT, {}, ProgressState.RUNNING),
        ("wait call-back", DEPLOYMENT, {}, ProgressState.RUNNING),
        ("active", DEPLOYMENT, {}, ProgressState.DONE),
        ("deploy failed", DEPLOYMENT, {}, Next.TAKE_BACK),
        ("deploy failed", dataclasses.replace(DEPLOYMENT, fresh=False), {}, ProgressState.FAILED),
        ("clean wait", DEPLOYMENT, {}, ProgressState.RUNNING),
        ("available", DEPLOYMENT, {}, ProgressState.CANCELLED),
        ("available", dataclasses.replace(DEPLOYMENT, error="why"), {}, ProgressState.FAILED),
        ("clean failed", DEPLOYMENT, {}, ProgressState.FAILED),
        (
            "available", dataclasses.replace(DEPLOYMENT, withdrawn=True),
            {"provision_updated_at": EARLY}, ProgressState.CANCELLED,
        ),
        ("active", ERASURE, {"provision_updated_at": EARLY}, Next.ASK),
        ("available", ERASURE, {"provision_updated_at": EARLY}, ProgressState.DONE),
        ("deleting", ERASURE, {}, ProgressState.RUNNING),
        ("cleaning", ERASURE, {}, ProgressState.RUNNING),
        ("available", ERASURE, {}, ProgressState.DONE),
        ("clean failed", ERASURE, {}, ProgressState.FAILED),
        ("deploying", DEPLOYMENT, {"instance_uuid": "ours"}, ProgressState.RUNNING),
        ("deploying", DEPLOYMENT, {"instance_uuid": "of nova"}, ProgressState.FAILED),
        ("active", DEPLOYMENT, {"instance_uuid": "of nova"}, ProgressState.FAILED),
        ("available", ERASURE, {"instance_uuid": "of nova"}, ProgressState.DONE),
    ],
)  # fmt: skip
def test_what_stands_on_the_node_says_how_far_the_work_is(state, mark, changes, expected):
    found = work.judge(node_of(state, **changes), mark)
    assert getattr(found, "state", found) is expected


def test_an_active_node_is_written_anew_only_once():
    again = dataclasses.replace(DEPLOYMENT, fresh=False)
    before = node_of("active", provision_updated_at=EARLY)
    assert work.judge(before, again) is Next.ASK
    assert work.judge(node_of("active"), again).state is ProgressState.DONE


def test_the_cause_is_what_ironic_says():
    failed = work.judge(node_of("clean failed", last_error="the disk is broken"), ERASURE)
    assert failed.error == "the disk is broken"
    kept = dataclasses.replace(DEPLOYMENT, error="the digest differs")
    assert work.judge(node_of("available"), kept).error == "the digest differs"


@pytest.mark.parametrize(
    ("fields", "project_id", "is_open"),
    [
        ({"lessee": "p"}, "p", True),
        ({"owner": "p"}, "p", True),
        ({"owner": "p", "lessee": "q"}, "p", False),
        ({"owner": "p", "lessee": "q"}, "q", True),
        ({"lessee": "p", "provision_state": "manageable"}, "p", False),
        ({"lessee": "p", "retired": True}, "p", False),
        ({}, "p", False),
        ({"resource_class": "shared"}, "p", True),
        ({"resource_class": "shared", "instance_uuid": "of nova"}, "p", False),
        ({"lessee": "p", "instance_uuid": "of nova"}, "p", True),
        ({"resource_class": "shared", "instance_uuid": "ours"}, "p", True),
        ({"resource_class": "shared", "instance_uuid": "ours"}, "q", False),
        ({"lessee": "q", "instance_uuid": "ours"}, "p", True),
    ],
)
def test_a_node_is_open_to_who_has_it_and_to_all_only_in_a_shared_class(
    fields, project_id, is_open
):
    found = node_of(mark=DEPLOYMENT, **fields)
    assert node.is_open_to(found, project_id, frozenset({"shared"})) is is_open


def test_what_another_service_has_is_not_ours():
    assert node.is_foreign(node_of(mark=DEPLOYMENT, instance_uuid="of nova"))
    assert not node.is_foreign(node_of(mark=DEPLOYMENT, instance_uuid="ours"))
    assert not node.is_foreign(node_of())


@pytest.mark.parametrize(
    ("fields", "state", "detail"),
    [
        ({}, NodeState.AVAILABLE, ""),
        ({"state": "wait call-back"}, NodeState.DEPLOYING, ""),
        ({"state": "active", "last_error": "old"}, NodeState.ACTIVE, ""),
        ({"state": "clean wait"}, NodeState.ERASING, ""),
        ({"state": "clean failed", "last_error": "broken"}, NodeState.ERROR, "broken"),
        ({"state": "error"}, NodeState.ERROR, "gives no reason"),
        ({"maintenance": True, "maintenance_reason": "fans"}, NodeState.ERROR, "fans"),
    ],
)
def test_a_node_in_trouble_says_why(fields, state, detail):
    found = node.describe(node_of(**fields))
    assert found.state is state
    assert detail in found.detail
    assert bool(found.detail) == (state is NodeState.ERROR)


@pytest.mark.parametrize(("local_gb", "expected"), [("10", 10 << 30), (None, 0), ("ten", 0)])
def test_the_size_is_that_of_the_property(local_gb, expected):
    assert node.describe(node_of(properties={"local_gb": local_gb})).size_bytes == expected


def test_only_the_newest_ends_are_kept_on_a_node():
    mark = Mark()
    for number in range(20):
        mark = dataclasses.replace(mark, ended=mark.after(f"w{number}", "done", ""))
    assert list(mark.ended) == [f"w{number}" for number in range(12, 20)]


def test_a_mark_of_a_newer_release_is_read():
    found = node_of(mark=DEPLOYMENT)
    found["extra"][node.MARK]["later"] = 1
    assert node.mark_of(found) == DEPLOYMENT
