"""Laws of the keys of encryption drivers: making, finding, disabling and rotating them."""

import concurrent.futures
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from imagesvc.interface import encryption, errors
from imagesvc.interface.encryption import EncryptionCapability, KeyState
from imagesvc.testing.conformance import child
from imagesvc.testing.conformance.work_kill import KilledWork

PROJECT = "conformance"
FOREIGN = "somebody-else"
UNKNOWN = "3f2f4f0e-0000-4000-8000-000000000000"
CONTEXT = {"service": "imagesvc", "image": "5a1d2c3b-0000-4000-8000-000000000001", "owner": "law"}
PLAIN = bytes(range(100, 100 + encryption.DATA_KEY_BYTES))


class EncryptionKeyConformance(KilledWork):
    """Fixtures, and the laws of keys. Keys that it makes stay: a contract to delete them is none.

    The named points are those of the driver; without any it is killed at lines of its code.
    """

    VERSION = encryption.VERSION
    CAPABILITY = EncryptionCapability
    CREATE_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()
    ROTATE_CRASH_POINTS: ClassVar[tuple[str, ...]] = ()
    # Ids of no key; the KMS may have a form of its own.
    UNKNOWN_IDS: ClassVar[tuple[str, ...]] = (UNKNOWN, "", "../x", "a b?c=d#e", "é" * 300)
    PROCESSES = 4

    @pytest.fixture
    def key_id(self, driver: encryption.EncryptionDriver) -> str:
        """A key of the project; without CREATE_KEY the test gives it, and `other_key_id`."""
        return self.make_key(driver)

    @pytest.fixture
    def other_key_id(self, driver: encryption.EncryptionDriver) -> str:
        """Another key of the project."""
        return self.make_key(driver)

    def make_key(self, driver: encryption.EncryptionDriver, project_id: str = PROJECT) -> str:
        """Make a key, give its id."""
        return driver.create_key(project_id, "law", request_token=uuid.uuid4().hex).id

    def test_a_key_is_described_as_it_was_made(
        self, driver: encryption.EncryptionDriver, key_id: str
    ) -> None:
        """describe_key: what a key is; a new one is enabled and has one version."""
        found = driver.describe_key(key_id)
        assert (found.id, found.project_id) == (key_id, PROJECT)
        assert 0 < len(key_id) <= encryption.KEY_ID_LENGTH_MAX
        assert (found.state, found.version) == (KeyState.ENABLED, 1)
        assert found.algorithm
        assert found.created_at is None or found.created_at.tzinfo is not None
        if self.has(driver, EncryptionCapability.CREATE_KEY):
            assert found.name == "law"

    def test_the_same_token_makes_one_key(self, driver: encryption.EncryptionDriver) -> None:
        """create_key: with a token that was used before it gives the key of then."""
        if not self.has(driver, EncryptionCapability.CREATE_KEY):
            return
        token = uuid.uuid4().hex
        made = driver.create_key(PROJECT, "first / é", request_token=token)
        assert (made.name, made.project_id) == ("first / é", PROJECT)
        other = self.again(driver)
        assert other.create_key(PROJECT, "second", request_token=token) == made
        assert driver.create_key(PROJECT, "first", request_token=uuid.uuid4().hex).id != made.id
        assert driver.create_key(FOREIGN, "first", request_token=token).id != made.id
        assert other.describe_key(made.id) == made

    def test_a_project_sees_its_own_keys_by_id(self, driver: encryption.EncryptionDriver) -> None:
        """list_keys: the keys of a project, by id."""
        if not self.has(driver, EncryptionCapability.LIST_KEYS):
            return
        before = {found.id for found in driver.list_keys(PROJECT)}
        made = {self.make_key(driver) for _ in range(3)}
        foreign = self.make_key(driver, FOREIGN)
        listed = driver.list_keys(PROJECT)
        ids = [found.id for found in listed]
        assert ids == sorted(before | made)
        assert {found.project_id for found in listed} == {PROJECT}
        assert [driver.describe_key(each) for each in ids] == list(listed)
        assert foreign in {found.id for found in driver.list_keys(FOREIGN)}
        assert driver.list_keys("nobody") == ()

    def test_a_key_that_is_not_there_is_not_found(
        self, driver: encryption.EncryptionDriver, key_id: str
    ) -> None:
        """Every method that names a key raises NotFound for one that is not there."""
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        for unknown in self.UNKNOWN_IDS:
            for call in self.calls(driver, unknown, key_id, wrapped):
                with pytest.raises(errors.NotFound):
                    call()
        if EncryptionCapability.REENCRYPT in driver.info().capabilities:
            with pytest.raises(errors.NotFound):
                driver.reencrypt(
                    key_id, wrapped, self.UNKNOWN_IDS[0], context=CONTEXT, new_context=CONTEXT
                )

    def calls(
        self, driver: encryption.EncryptionDriver, key_id: str, other_key_id: str, wrapped: bytes
    ) -> list[Callable[[], Any]]:
        """Each promised method on a key, those that make use of it first (`uses`)."""
        return [
            *self.uses(driver, key_id, other_key_id, wrapped),
            lambda: driver.describe_key(key_id),
            *(
                [lambda: driver.set_key_enabled(key_id, enabled=True)]
                if EncryptionCapability.DISABLE_KEY in driver.info().capabilities
                else []
            ),
        ]

    def uses(
        self, driver: encryption.EncryptionDriver, key_id: str, other_key_id: str, wrapped: bytes
    ) -> list[Callable[[], Any]]:
        """Each promised method that needs the key to be enabled."""
        promised = driver.info().capabilities
        optional: dict[EncryptionCapability, Callable[[], Any]] = {
            EncryptionCapability.ROTATE_KEY: lambda: driver.rotate_key(key_id),
            EncryptionCapability.REWRAP_VERSION: lambda: driver.rewrap(
                key_id, wrapped, context=CONTEXT
            ),
            EncryptionCapability.REENCRYPT: lambda: driver.reencrypt(
                key_id, wrapped, other_key_id, context=CONTEXT, new_context=CONTEXT
            ),
        }
        return [
            lambda: driver.generate_data_key(key_id, context=CONTEXT),
            lambda: driver.wrap_data_key(key_id, PLAIN, context=CONTEXT),
            lambda: driver.decrypt_data_key(key_id, wrapped, context=CONTEXT),
            *(call for capability, call in optional.items() if capability in promised),
        ]

    def test_a_disabled_key_opens_and_wraps_nothing(
        self, driver: encryption.EncryptionDriver, key_id: str, other_key_id: str
    ) -> None:
        """set_key_enabled: no more, for any process and at once; enabled again it opens."""
        if not self.has(driver, EncryptionCapability.DISABLE_KEY):
            return
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        others = driver.wrap_data_key(other_key_id, PLAIN, context=CONTEXT).wrapped
        other = self.again(driver)
        assert other.decrypt_data_key(key_id, wrapped, context=CONTEXT).plain == PLAIN
        for _ in range(2):
            assert driver.set_key_enabled(key_id, enabled=False).state is KeyState.DISABLED
        for instance in (driver, other):
            assert instance.describe_key(key_id).state is KeyState.DISABLED
            for call in self.uses(instance, key_id, other_key_id, wrapped):
                with pytest.raises(errors.KeyUnavailable):
                    call()
        if EncryptionCapability.REENCRYPT in driver.info().capabilities:
            with pytest.raises(errors.KeyUnavailable):
                driver.reencrypt(other_key_id, others, key_id, context=CONTEXT, new_context=CONTEXT)
        assert driver.decrypt_data_key(other_key_id, others, context=CONTEXT).plain == PLAIN
        for _ in range(2):
            assert driver.set_key_enabled(key_id, enabled=True).state is KeyState.ENABLED
        assert other.decrypt_data_key(key_id, wrapped, context=CONTEXT).plain == PLAIN

    def test_a_rotated_key_opens_what_older_versions_wrapped(
        self, driver: encryption.EncryptionDriver, key_id: str
    ) -> None:
        """rotate_key: new data keys are wrapped under the new version; older ones still open."""
        if not self.has(driver, EncryptionCapability.ROTATE_KEY):
            return
        other, kept = self.again(driver), []
        for version in (1, 2, 3):
            assert other.describe_key(key_id).version == version
            made = other.generate_data_key(key_id, context=CONTEXT)
            assert made.version == version
            kept.append((made.plain, made.wrapped, version))
            assert driver.rotate_key(key_id).version == version + 1
        for plain, wrapped, version in kept:
            opened = other.decrypt_data_key(key_id, wrapped, context=CONTEXT)
            assert (opened.plain, opened.version) == (plain, version)

    def test_keys_of_processes_at_once_are_all_there(
        self, driver: encryption.EncryptionDriver
    ) -> None:
        """What one process makes, no other one undoes."""
        if not self.has(driver, EncryptionCapability.CREATE_KEY):
            return
        recipe, tokens = self.recipe(driver), [uuid.uuid4().hex for _ in range(self.PROCESSES)]

        def make(token: str) -> int:
            return child.run_to_crash_point(
                recipe, "", "create_key", PROJECT, "law", request_token=token
            )

        with concurrent.futures.ThreadPoolExecutor(self.PROCESSES) as pool:
            assert list(pool.map(make, tokens)) == [0] * self.PROCESSES
        made = [driver.create_key(PROJECT, "anew", request_token=token) for token in tokens]
        assert {found.name for found in made} == {"law"}
        assert len({found.id for found in made}) == self.PROCESSES

    def test_a_key_that_was_begun_is_made_once_after_a_kill(
        self, driver: encryption.EncryptionDriver
    ) -> None:
        """After kill -9 at any point of create_key the same token gives one key, which works."""
        if not self.has(driver, EncryptionCapability.CREATE_KEY):
            return
        run = uuid.uuid4().hex
        for token in self.cut_short(
            driver,
            self.CREATE_CRASH_POINTS,
            "create_key",
            lambda _: (PROJECT, "law"),
            named=lambda token: {"request_token": f"{run}-{token}"},
        ):
            key_id = driver.create_key(PROJECT, "law", request_token=f"{run}-{token}").id
            wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
            assert driver.decrypt_data_key(key_id, wrapped, context=CONTEXT).plain == PLAIN
            if EncryptionCapability.LIST_KEYS in driver.info().capabilities:
                listed = [found.id for found in driver.list_keys(PROJECT)]
                assert listed.count(key_id) == 1

    def test_a_key_opens_though_its_rotation_was_killed(
        self, driver: encryption.EncryptionDriver, key_id: str
    ) -> None:
        """After kill -9 at any point of rotate_key the key has the new version or has it not."""
        if not self.has(driver, EncryptionCapability.ROTATE_KEY):
            return
        kept = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        before = 1
        for _ in self.cut_short(
            driver, self.ROTATE_CRASH_POINTS, "rotate_key", lambda _: (key_id,)
        ):
            version = driver.describe_key(key_id).version
            assert version in (before, before + 1)
            before = version
            made = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT)
            assert made.version == version
            for wrapped in (kept, made.wrapped):
                assert driver.decrypt_data_key(key_id, wrapped, context=CONTEXT).plain == PLAIN
