"""Encryption drivers that break one of the promises of their kind break a law."""

import inspect

import pytest

from imagesvc.testing.conformance.base import DriverConformance
from imagesvc.testing.conformance.encryption import EncryptionConformance
from tests.unit.testing import encryption_fault
from tests.unit.testing.law import broken

CASES = [
    ("Nameless", "a_key_is_described_as_it_was_made"),
    ("FreshIds", "the_same_token_makes_one_key"),
    ("OneTokenForAll", "the_same_token_makes_one_key"),
    ("OneProject", "a_project_sees_its_own_keys_by_id"),
    ("Unsorted", "a_project_sees_its_own_keys_by_id"),
    ("Obliging", "a_key_that_is_not_there_is_not_found"),
    ("OpensDisabled", "a_disabled_key_opens_and_wraps_nothing"),
    ("WrapsDisabled", "a_disabled_key_opens_and_wraps_nothing"),
    ("RemembersKeys", "a_disabled_key_opens_and_wraps_nothing"),
    ("Forgets", "a_rotated_key_opens_what_older_versions_wrapped"),
    ("LastWriter", "keys_of_processes_at_once_are_all_there"),
    ("MadeOnce", "a_key_that_was_begun_is_made_once_after_a_kill"),
    ("TornRotation", "a_key_opens_though_its_rotation_was_killed"),
    ("OneDataKey", "a_data_key_opens_again_and_is_fresh_each_time"),
    ("AnyLength", "an_existing_data_key_is_wrapped_by_other_keys_too"),
    ("NoContext", "another_context_opens_nothing"),
    ("JoinedContext", "another_context_opens_nothing"),
    ("OrderedContext", "another_context_opens_nothing"),
    ("OneKey", "another_key_opens_nothing"),
    ("Trailing", "a_damaged_wrapping_opens_nothing"),
    ("Unsealed", "a_damaged_wrapping_opens_nothing"),
    ("StaysBehind", "a_data_key_moves_to_the_newest_version"),
    ("OldContext", "a_data_key_moves_to_another_key"),
    ("Talkative", "no_plain_key_is_told"),
    ("Blabs", "no_plain_key_is_told"),
    ("Remembers", "another_instance_sees_a_key_at_once"),
    ("Muddled", "many_threads_open_what_they_wrapped"),
    ("Silent", "optional_methods_say_so_when_missing"),
]


class Suite(EncryptionConformance):
    """The suite without pytest's machinery."""

    driver = None
    CREATE_CRASH_POINTS = ("encryption.local.created",)
    ROTATE_CRASH_POINTS = ("encryption.local.rotated",)


@pytest.mark.parametrize(("fault", "law"), CASES)
def test_a_fault_breaks_its_law(tmp_path, caplog, fault, law):
    suite = Suite()
    driver = suite.make(getattr(encryption_fault, fault), path=str(tmp_path / "keys.json"))
    method = getattr(suite, f"test_{law}")
    names = inspect.signature(method).parameters
    given = {"driver": driver, "caplog": caplog}
    given |= {name: suite.make_key(driver) for name in names if name.endswith("key_id")}
    with broken():
        method(**{name: given[name] for name in names})
    for made in suite._made:
        made.close()


def test_every_law_has_a_fault():
    common = set(dir(DriverConformance))
    laws = {name for name in dir(Suite) if name.startswith("test_") and name not in common}
    assert {name.removeprefix("test_") for name in laws} == {law for _, law in CASES}
