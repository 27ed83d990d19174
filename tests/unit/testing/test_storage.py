"""Each law of storage is broken by a driver that breaks its promise, and kept by a sound one."""

import dataclasses
import gc
import inspect

import pytest

from imagesvc.interface.storage import StorageCapability
from imagesvc.testing.conformance import http_file
from imagesvc.testing.conformance.storage import StorageConformance
from imagesvc_drivers.storage.file import FileStorage
from tests.unit.testing import storage_fault
from tests.unit.testing.law import broken

# Faulty drivers leave files open and threads broken.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::pytest.{name}")
    for name in ("PytestUnraisableExceptionWarning", "PytestUnhandledThreadExceptionWarning")
]

CASES = [
    ("visible_at_once", "bytes_are_not_readable_before_commit", {}),
    ("visible_at_once", "a_writer_killed_before_commit_leaves_nothing", {}),
    ("lost_tail", "what_is_read_is_what_was_written", {"size": 4095}),
    ("lost_tail", "writes_of_any_length_make_one_object", {}),
    ("replacing", "of_two_writers_of_one_key_one_wins_whole", {}),
    ("unflushed", "bytes_are_on_the_disk_before_commit_returns", {}),
    ("unnamed", "bytes_are_on_the_disk_before_commit_returns", {}),
    ("piecemeal", "a_writer_killed_inside_commit_leaves_nothing_or_the_whole", {}),
    ("hoarded", "memory_stays_small_whatever_the_size", {}),
    ("commit_at_exit", "an_exception_in_the_block_aborts", {}),
    ("abort_leaves_bytes", "abort_leaves_nothing", {}),
    ("length_ignored", "a_range_is_exactly_that_range", {"offset": 1, "length": 10}),
    ("length_ignored", "a_reader_gives_small_pieces", {}),
    ("lenient_read", "a_wrong_range_is_refused", {"offset": 11, "length": None}),
    ("one_reader", "readers_do_not_disturb_each_other", {}),
    ("strict_delete", "delete_can_be_repeated", {}),
    ("greedy_delete", "delete_leaves_neighbours", {}),
    ("plain_key_error", "an_unknown_key_is_not_found", {}),
    ("fresh_etag", "an_etag_stays_and_differs", {}),
    ("one_etag", "an_etag_stays_and_differs", {}),
    ("backwards", "list_is_in_key_order_and_in_pages", {}),
    ("unpaged", "list_is_in_key_order_and_in_pages", {}),
    ("caseless", "a_prefix_is_taken_as_it_is", {}),
    ("after_a_key_that_is_there", "a_list_goes_on_after_a_key_that_is_gone", {}),
    ("discard_all", "discarding_spares_what_is_young_or_committed", {}),
    ("no_key_check", "a_malformed_key_is_refused", {"bad": "a/../b"}),
    ("shared_part", "threads_write_at_once", {}),
    ("overfull", "usage_is_told", {}),
    ("presign_promised", "presigned_url", {}),
    ("resume_promised", "resumable_write", {}),
    ("begins_anew", "resumable_write", {}),
    ("forgets_the_killed", "a_killed_write_is_gone_on_with", {}),
    ("copies_promised", "copies", {}),
    ("copy_not_promised", "server_side_copy", {}),
    ("path_not_promised", "local_file", {}),
]


class Storage(StorageConformance):
    """The suite without pytest's machinery."""

    driver = None


def run(folder, driver_class, law, facts):
    suite = Storage()
    driver = suite.make(driver_class, directory=str(folder))
    wanted = inspect.signature(getattr(suite, f"test_{law}")).parameters
    given = {"driver": driver, "key": "law/of", "tmp_path": folder, **facts}
    getattr(suite, f"test_{law}")(**{name: given[name] for name in wanted})


@pytest.fixture(autouse=True)
def _nothing_is_left_to_others():
    """What a fault left open is told here, and not in the midst of another test."""
    yield
    gc.collect()


@pytest.mark.parametrize(("fault", "law", "facts"), CASES, ids=lambda each: str(each))
def test_a_fault_breaks_its_law(tmp_path, fault, law, facts):
    run(tmp_path / "sound", FileStorage, law, facts)
    with broken():
        run(tmp_path / "faulty", getattr(storage_fault, fault), law, facts)


def test_every_fault_has_its_law():
    assert set(storage_fault.METHODS) == {fault for fault, _, _ in CASES}


class Signing(FileStorage):
    """Signs what a small server serves; a sound one serves each object under its own URL."""

    url = ""

    def info(self):
        known = super().info()
        return dataclasses.replace(
            known, capabilities=known.capabilities | {StorageCapability.PRESIGNED_URL}
        )

    def presign(self, key, *, method="GET", expires_s=900.0):
        return self.url


@pytest.mark.parametrize("sound", [True, False])
def test_a_signed_url_is_fetched(tmp_path, sound):
    suite = Storage()
    driver = suite.make(Signing, directory=str(tmp_path / "store"))
    served = driver.path_of("law/of") if sound else tmp_path / "other"
    (tmp_path / "other").write_bytes(b"something else")
    with http_file.served(served, "127.0.0.1") as driver.url:
        if sound:
            suite.test_presigned_url(driver, "law/of")
            return
        with broken():
            suite.test_presigned_url(driver, "law/of")
