"""Each law of identity is broken by a driver that breaks its promise, and kept by a sound one."""

import inspect

import pytest

from imagesvc.interface import identity
from imagesvc.testing.conformance.base import DriverConformance
from imagesvc.testing.conformance.identity import Endpoint, IdentityConformance, Person
from imagesvc_drivers.identity.local import LocalIdentity
from tests.unit.testing import identity_fault
from tests.unit.testing.law import broken

CASES = [
    ("Guest", "a_request_without_valid_credentials_is_nobody"),
    ("TwoLines", "the_challenge_is_one_header_value"),
    ("Unclaimed", "what_is_not_promised_is_not_supported"),
    ("Boastful", "an_access_key_is_found"),
    ("Inventive", "an_access_key_is_found"),
    ("Everywhere", "an_endpoint_is_found"),
    ("Administrator", "a_login_gives_a_token_that_names_the_user"),
    ("Administrator", "a_login_without_scope_has_no_project"),
    ("Shown", "a_token_is_never_shown"),
    ("IdsOnly", "names_log_in_as_ids_do"),
    ("Telling", "every_refused_login_has_one_text"),
    ("OwnList", "a_revoked_token_ends_at_once_everywhere"),
    ("RevokeOnce", "a_revoked_token_ends_at_once_everywhere"),
    ("Prolonging", "a_rescoped_token_lives_no_longer"),
    ("Unsorted", "projects_are_found"),
    ("EveryProject", "projects_are_found"),
]
ENDPOINT = Endpoint("known", "image", "near", "public", "http://image.example")
SOUND = {
    "an_access_key_is_found": identity_fault.Keys,
    "an_endpoint_is_found": identity_fault.Catalog,
}
KEY = identity.AccessKey("known", "secret", "user")


class Local(IdentityConformance):
    """The suite without pytest's machinery."""

    driver = None


def run(path, driver_class, law):
    suite = Local()
    driver = suite.make(driver_class, path=str(path))
    try:
        project = driver.create_project("demo")
        user = driver.create_user("alice", "correct horse")
        driver.grant("alice", "demo", "member")
        given = {
            "driver": driver,
            "headers": {},
            "person": Person(user, "alice", "correct horse", project, "demo"),
            "foreign_project": driver.create_project("foreign"),
            "known_key": KEY,
            "known_endpoint": ENDPOINT,
        }
        method = getattr(suite, f"test_{law}")
        method(**{name: given[name] for name in inspect.signature(method).parameters})
    finally:
        for made in suite.__dict__["_made"]:
            made.close()


@pytest.mark.parametrize(("fault", "law"), CASES)
def test_a_fault_breaks_its_law(tmp_path, fault, law):
    run(tmp_path / "sound.sqlite", SOUND.get(law, LocalIdentity), law)
    with broken():
        run(tmp_path / "faulty.sqlite", getattr(identity_fault, fault), law)


def test_every_law_has_a_fault():
    common = set(dir(DriverConformance))
    laws = {name for name in dir(Local) if name.startswith("test_") and name not in common}
    assert {name.removeprefix("test_") for name in laws} == {law for _, law in CASES}
