"""A small compute driver keeps the laws; drivers that break one of its promises break a law."""

import hashlib
import inspect
import uuid

import pytest

from imagesvc.interface.compute import ServerSpec
from imagesvc.interface.image_source import ImageSource
from imagesvc.testing.conformance.base import DriverConformance
from imagesvc.testing.conformance.compute import PROJECT, ComputeConformance
from tests.unit.testing import compute_fault
from tests.unit.testing.folder_compute import FolderCompute
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
    ("OneName", "servers_of_one_creation_run_and_are_numbered"),
    ("Unsorted", "the_list_has_pages_in_the_order_of_ids"),
    ("Unpaged", "the_list_has_pages_in_the_order_of_ids"),
    ("OneProject", "a_server_of_another_project_is_not_found"),
    ("StopOnce", "servers_stop_start_and_go"),
    ("Forgetting", "another_instance_finds_the_servers"),
    ("Shifted", "a_snapshot_reads_as_the_raw_disk"),
    ("NamingImages", "a_snapshot_is_an_image_only_with_its_capability"),
    ("AnyDisk", "an_unknown_disk_is_not_found"),
    ("AnyBytes", "a_creation_of_other_bytes_fails_and_leaves_nothing"),
    ("LocalOnly", "an_image_without_a_local_file_comes_by_its_url"),
    ("Grouping", "all_disks_are_copied_at_one_instant"),
    ("GroupingSome", "some_disks_are_copied_at_one_instant"),
    ("GroupingOne", "a_group_snapshot_goes_on_after_a_kill"),
    ("NoDataDisks", "data_disks_need_their_capability"),
    ("Backwards", "disks_stand_in_the_order_of_the_spec"),
    ("Fuller", "an_empty_disk_stands_at_its_place"),
    ("Renewing", "a_rebuilt_server_keeps_its_data_disk_id_and_name"),
    ("RebuildingAny", "a_rebuild_of_other_bytes_fails_and_leaves_the_old_disk"),
    ("RebuildingForeign", "a_server_of_another_project_is_not_rebuilt"),
    ("RebuildingLate", "a_rebuild_is_found_by_its_token_and_one_not_begun_never_begins"),
    ("RebuildingOff", "a_rebuild_goes_on_after_a_kill"),
    ("Freezing", "quiesce_needs_its_capability"),
    ("Rebuilding", "optional_methods_say_so_when_missing"),
    ("LosingVolumes", "a_volume_stays_attached_over_restarts_until_it_is_detached"),
    ("AttachingToAll", "nothing_is_attached_to_a_server_of_another_project"),
    ("AnyProtocol", "a_connection_of_an_unknown_protocol_is_refused"),
]

CONNECTION = {"volume_id": "volume", "protocol": "file"}


class Compute(ComputeConformance):
    """The suite without pytest's machinery."""

    driver = None
    image_source = None


class TestAttachingCompute(Compute):
    """One that attaches volumes keeps all laws."""

    @pytest.fixture
    def driver(self, tmp_path):
        """It keeps all in one folder."""
        return self.make(compute_fault.Attaching, directory=str(tmp_path / "compute"))

    @pytest.fixture
    def image_source(self, tmp_path):
        """A small image."""
        return image_in(tmp_path)

    @pytest.fixture
    def connection(self):
        """A volume by its name."""
        return dict(CONNECTION)


class TestFolderCompute(Compute):
    """The sound one keeps all laws."""

    @pytest.fixture
    def driver(self, tmp_path):
        """It keeps all in one folder."""
        return self.make(FolderCompute, directory=str(tmp_path / "compute"))

    @pytest.fixture
    def image_source(self, tmp_path):
        """A small image."""
        return image_in(tmp_path)


def image_in(folder):
    """An image whose file lies in `folder`."""
    path = folder / "image.raw"
    path.write_bytes(bytes(range(256)) * 100)
    digest = hashlib.sha512(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    return ImageSource(
        str(uuid.uuid4()), 0, "raw", size, size + 4096, digest, "http://192.0.2.1/x", path
    )


@pytest.mark.parametrize(("fault", "law"), CASES)
def test_a_fault_breaks_its_law(tmp_path, fault, law):
    suite = Compute()
    driver = suite.make(getattr(compute_fault, fault), directory=str(tmp_path / "compute"))
    image = image_in(tmp_path)
    spec = ServerSpec(name="law", project_id=PROJECT, disks=(image,), image_id=image.image_id)
    given = {
        "driver": driver,
        "image_source": image,
        "spec": spec,
        "start_work": lambda each, token: each.start_create(spec, 1, token),
        "handle": "unknown",
        "stopped": False,
        "running": False,
        "connection": dict(CONNECTION),
    }
    method = getattr(suite, f"test_{law}")
    with broken():
        method(**{name: given[name] for name in inspect.signature(method).parameters})


def test_every_law_has_a_fault():
    common = set(dir(DriverConformance))
    laws = {name for name in dir(Compute) if name.startswith("test_") and name not in common}
    assert {name.removeprefix("test_") for name in laws} == {law for _, law in CASES}
