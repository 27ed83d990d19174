"""Bare-metal drivers that break one of the promises of their kind break a law."""

import hashlib
import inspect
import uuid

import pytest

from imagesvc.interface.baremetal import DeploySpec
from imagesvc.interface.image_source import ImageSource
from imagesvc.testing.conformance.baremetal import PROJECT, BaremetalConformance
from imagesvc.testing.conformance.base import DriverConformance
from tests.unit.testing import baremetal_fault
from tests.unit.testing.law import broken

CASES = [
    ("LongHandle", "a_handle_is_a_short_text"),
    ("NoToken", "the_same_token_is_the_same_work"),
    ("OwnTokens", "two_instances_at_once_do_the_work_once"),
    ("OwnWork", "another_instance_can_follow_the_work"),
    ("UnknownRuns", "an_unknown_handle_is_not_found"),
    ("CancelAll", "cancel_leaves_ended_work_as_it_is"),
    ("CancelFails", "cancelled_work_ends"),
    ("EarlyDeploy", "a_deployment_goes_on_after_a_kill"),
    ("EarlyErase", "an_undeployment_goes_on_after_a_kill"),
    ("EarlyHold", "a_snapshot_goes_on_after_a_kill"),
    ("Forgetful", "work_is_found_by_its_token_and_what_was_not_begun_never_begins"),
    ("Nobodys", "a_deployed_node_is_had_by_its_project_and_reads_as_the_image"),
    ("LocalOnly", "an_image_without_a_local_file_comes_by_its_url"),
    ("Keeping", "an_undeployed_node_is_free_and_its_disk_is_empty"),
    ("Unsorted", "the_list_has_pages_in_the_order_of_ids"),
    ("OpenToAll", "a_node_of_another_project_is_not_found"),
    ("AnyBytes", "a_deployment_of_other_bytes_fails_and_the_node_stays_free"),
    ("AnySize", "an_image_larger_than_the_disk_is_refused"),
    ("Heedless", "a_disk_that_is_read_is_not_written"),
    ("Silent", "optional_methods_say_so_when_missing"),
]


class Suite(BaremetalConformance):
    """The suite without pytest's machinery."""

    driver = None
    image_source = None
    node_id = None
    DEPLOY_CRASH_POINTS = ("baremetal.local.head_erased",)
    UNDEPLOY_CRASH_POINTS = ("baremetal.local.erase_recorded",)
    SNAPSHOT_CRASH_POINTS = ("baremetal.local.hold_recorded",)


def image_in(folder):
    """A raw image of 2 MiB whose file lies in `folder`."""
    path = folder / "image.raw"
    path.write_bytes(bytes(range(256)) * 8192)
    digest = hashlib.sha512(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    return ImageSource(str(uuid.uuid4()), 0, "raw", size, size, digest, "http://192.0.2.1/x", path)


@pytest.mark.parametrize(("fault", "law"), CASES)
def test_a_fault_breaks_its_law(tmp_path, fault, law):
    suite = Suite()
    disks = [tmp_path / "node-1.raw", tmp_path / "node-2.raw"]
    for disk in disks:
        disk.write_bytes(bytes(3 << 20))
    driver = suite.make(
        getattr(baremetal_fault, fault), state_dir=str(tmp_path / "state"),
        nodes=[f"{disk.stem}:{disk}:{PROJECT}" for disk in disks],
    )  # fmt: skip
    image = image_in(tmp_path)
    spec = DeploySpec(PROJECT, image, image.image_id)
    given = {
        "driver": driver,
        "image_source": image,
        "node_id": "node-1",
        "spec": spec,
        "start_work": lambda each, token: each.start_deploy("node-1", spec, token),
        "handle": "unknown",
    }
    method = getattr(suite, f"test_{law}")
    with broken():
        method(**{name: given[name] for name in inspect.signature(method).parameters})
    driver.close()


def test_every_law_has_a_fault():
    common = set(dir(DriverConformance))
    laws = {name for name in dir(Suite) if name.startswith("test_") and name not in common}
    assert {name.removeprefix("test_") for name in laws} == {law for _, law in CASES}
