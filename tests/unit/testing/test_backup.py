"""Backup drivers that break one of the promises of their kind break a law; those that keep them do not."""

import inspect
import random
from pathlib import Path

import pytest

from imagesvc.interface.backup import BackupSpec
from imagesvc.testing.conformance.backup import PROJECT, BackupConformance
from imagesvc.testing.conformance.backup_disk import SERVER
from imagesvc.testing.conformance.base import DriverConformance
from tests.unit.testing import backup_fault
from tests.unit.testing.folder_backup import FolderBackup
from tests.unit.testing.law import broken

CASES = [
    ("NoWay", "a_backup_comes_about_in_one_way_at_least"),
    ("Shifted", "a_backup_reads_as_the_disks_of_the_server_in_their_order"),
    ("Unsorted", "the_list_has_pages_in_the_order_of_ids"),
    ("Unpaged", "the_list_has_pages_in_the_order_of_ids"),
    ("OneProject", "a_backup_of_another_project_is_not_found"),
    ("OpenHand", "a_backup_of_another_project_is_not_found"),
    ("DeleteOnce", "another_instance_finds_the_backups_and_a_deletion_may_be_repeated"),
    ("Chained", "a_backup_reads_whole_though_those_before_and_after_are_gone"),
    ("WrongFile", "a_file_of_this_machine_has_the_bytes"),
    ("Silent", "optional_methods_say_so_when_missing"),
    ("Early", "a_backup_is_not_there_before_it_is_whole"),
    ("Careless", "a_backup_is_not_there_before_it_is_whole"),
    ("FreshIds", "the_same_token_is_the_same_backup"),
    ("Sticky", "what_was_not_committed_leaves_nothing_and_is_written_anew"),
    ("WholeOnly", "a_deleted_backup_takes_no_more"),
    ("BegunOnce", "a_backup_that_was_begun_goes_on_after_a_kill"),
    ("FinishOnce", "a_backup_is_made_whole_again_after_a_kill"),
    ("UnknownRuns", "an_unknown_handle_is_not_found"),
    ("EveryBackup", "a_service_makes_one_backup_a_token"),
    ("Stopless", "a_service_that_is_told_to_stop_leaves_a_whole_backup_or_none"),
    ("EveryServer", "a_service_makes_one_server_a_token"),
]


def furnish(folder: Path) -> None:
    """A server with two disks, as the service sees it."""
    home = folder / "servers" / SERVER
    home.mkdir(parents=True)
    for number in range(2):
        (home / f"disk{number}").write_bytes(random.Random(number).randbytes(100_000))


class TestFolderBackup(BackupConformance):
    """The other way than that of `local`: the service copies servers by itself."""

    @pytest.fixture
    def driver(self, tmp_path: Path) -> FolderBackup:
        furnish(tmp_path)
        return self.make(FolderBackup, state_dir=str(tmp_path))


class Suite(BackupConformance):
    """The suite without pytest's machinery."""

    driver = None
    PREPARE_CRASH_POINTS = ("backup.local.prepared",)
    FINISH_CRASH_POINTS = ("backup.local.finished",)


@pytest.mark.parametrize(("fault", "law"), CASES)
def test_a_fault_breaks_its_law(tmp_path, fault, law):
    suite = Suite()
    furnish(tmp_path)
    driver = suite.make(getattr(backup_fault, fault), state_dir=str(tmp_path))
    given = {"driver": driver, "spec": BackupSpec("law", PROJECT, SERVER), "handle": "unknown"}
    method = getattr(suite, f"test_{law}")
    with broken():
        method(**{name: given[name] for name in inspect.signature(method).parameters})
    driver.close()


def test_every_law_has_a_fault():
    common = set(dir(DriverConformance))
    laws = {name for name in dir(Suite) if name.startswith("test_") and name not in common}
    assert {name.removeprefix("test_") for name in laws} == {law for _, law in CASES}
