"""Volume drivers that break one of the promises of their kind break a law."""

import hashlib
import inspect
import uuid

import pytest

from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.volume import VolumeSpec
from imagesvc.testing.conformance.base import DriverConformance
from imagesvc.testing.conformance.volume import PROJECT, VolumeConformance
from imagesvc.testing.conformance.volume_disk import MARGIN_BYTES
from tests.unit.testing import volume_fault
from tests.unit.testing.law import broken

CASES = [
    ("LongHandle", "a_handle_is_a_short_text"),
    ("NoToken", "the_same_token_is_the_same_work"),
    ("OwnTokens", "two_instances_at_once_do_the_work_once"),
    ("OwnWork", "another_instance_can_follow_the_work"),
    ("UnknownRuns", "an_unknown_handle_is_not_found"),
    ("CancelAll", "cancel_leaves_ended_work_as_it_is"),
    ("CancelFails", "cancelled_work_ends"),
    ("Piecemeal", "a_creation_goes_on_after_a_kill"),
    ("EarlySnapshot", "a_snapshot_goes_on_after_a_kill"),
    ("ConnectOnce", "a_connection_that_was_cut_short_is_made_again_and_taken_back"),
    ("OneName", "volumes_of_one_creation_are_empty_and_numbered"),
    ("Unsorted", "the_list_has_pages_in_the_order_of_ids"),
    ("Unpaged", "the_list_has_pages_in_the_order_of_ids"),
    ("OneProject", "a_volume_of_another_project_is_not_found"),
    ("DeleteOnce", "another_instance_finds_the_volumes_and_a_deletion_may_be_repeated"),
    ("Empty", "a_volume_of_an_image_reads_as_its_disk_and_as_zeros_behind"),
    ("LocalOnly", "an_image_without_a_local_file_comes_by_its_url"),
    ("Empty", "a_creation_of_other_bytes_fails_and_leaves_nothing"),
    ("Cutting", "a_volume_smaller_than_its_image_is_refused"),
    ("Shared", "one_server_has_a_volume_until_it_is_taken_back"),
    ("Shifted", "a_snapshot_reads_as_the_raw_disk_though_the_volume_is_gone"),
    ("NamingImages", "a_snapshot_is_an_image_only_with_its_capability"),
    ("Silent", "optional_methods_say_so_when_missing"),
]


class Suite(VolumeConformance):
    """The suite without pytest's machinery."""

    driver = None
    image_source = None
    CREATE_CRASH_POINTS = ("volume.local.created",)
    SNAPSHOT_CRASH_POINTS = ("volume.local.snapshot_recorded",)
    CONNECT_CRASH_POINTS = ("volume.local.connected",)


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
    driver = suite.make(getattr(volume_fault, fault), state_dir=str(tmp_path / "volume"))
    image = image_in(tmp_path)
    spec = VolumeSpec("law", PROJECT, 1 << 20)
    given = {
        "driver": driver,
        "image_source": image,
        "spec": spec,
        "image_spec": VolumeSpec(
            "law", PROJECT, image.virtual_size_bytes + MARGIN_BYTES, image, image.image_id
        ),
        "start_work": lambda each, token: each.start_create(spec, 1, token),
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
