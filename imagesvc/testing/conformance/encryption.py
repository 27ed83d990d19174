"""Laws of encryption drivers (`imagesvc.interface.encryption`).

class TestAcmeEncryption(EncryptionConformance):
    @pytest.fixture
    def driver(self): return self.make(AcmeEncryption, url=...)

A driver without CREATE_KEY also gives `key_id` and `other_key_id`: keys of the project PROJECT,
which are new, and each time others.
"""

import base64
import concurrent.futures
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from imagesvc.interface import encryption, errors
from imagesvc.interface.encryption import EncryptionCapability, EncryptionDriver
from imagesvc.testing.conformance.encryption_key import (
    CONTEXT,
    FOREIGN,
    PLAIN,
    PROJECT,
    UNKNOWN,
    EncryptionKeyConformance,
)

__all__ = ["CONTEXT", "FOREIGN", "PROJECT", "UNKNOWN", "EncryptionConformance"]

# What a careless encoding of CONTEXT, or of the first of a pair, would take for the same.
OTHERS: tuple[dict[str, str], ...] = (
    {},
    {"service": "imagesvc"},
    {**CONTEXT, "more": ""},
    {**CONTEXT, "owner": "Law"},
    {**CONTEXT, "owner": ""},
    {**CONTEXT, "image": CONTEXT["owner"], "owner": CONTEXT["image"]},
    {name.upper(): value for name, value in CONTEXT.items()},
)
ALIKE = (
    ({"a": "b", "c": "d"}, {"a": "bc", "": "d"}),
    ({"a": "b", "c": "d"}, {"a": 'b","c":"d'}),
    ({"a": "b=c"}, {"a=b": "c"}),
    ({"a": "b,c=d"}, {"a": "b", "c": "d"}),
    ({"a": "b\n"}, {"a": "b"}),
    ({"a": "\u00e9"}, {"a": "e\u0301"}),
)
POSITIONS_MAX = 256
THREADS, ROUNDS = 8, 5


class EncryptionConformance(EncryptionKeyConformance):
    """The suite."""

    # Which of ALIKE the KMS can take at all: some refuse empty names or signs in them.
    ALIKE = ALIKE

    def test_a_data_key_opens_again_and_is_fresh_each_time(
        self, driver: EncryptionDriver, key_id: str
    ) -> None:
        """generate_data_key: 32 random bytes, wrapped; decrypt_data_key gives them again."""
        made = [driver.generate_data_key(key_id, context=CONTEXT) for _ in range(8)]
        assert len({one.plain for one in made}) == len({one.wrapped for one in made}) == 8
        for one in made:
            assert len(one.plain) == encryption.DATA_KEY_BYTES
            assert 0 < len(one.wrapped) <= encryption.WRAPPED_BYTES_MAX
            assert one.plain not in one.wrapped
            opened = driver.decrypt_data_key(key_id, one.wrapped, context=CONTEXT)
            assert (opened.plain, opened.version) == (one.plain, one.version)

    def test_an_existing_data_key_is_wrapped_by_other_keys_too(
        self, driver: EncryptionDriver, key_id: str, other_key_id: str
    ) -> None:
        """wrap_data_key: under any key; other than 32 bytes are refused."""
        made = driver.generate_data_key(key_id, context=CONTEXT)
        context = {**CONTEXT, "owner": FOREIGN}
        other = driver.wrap_data_key(other_key_id, made.plain, context=context)
        assert other.plain == made.plain
        assert 0 < len(other.wrapped) <= encryption.WRAPPED_BYTES_MAX
        opened = driver.decrypt_data_key(other_key_id, other.wrapped, context=context)
        assert opened.plain == made.plain
        for plain in (b"", PLAIN[:-1], PLAIN + b"x"):
            with pytest.raises(errors.InvalidArgument):
                driver.wrap_data_key(key_id, plain, context=CONTEXT)

    def test_another_context_opens_nothing(self, driver: EncryptionDriver, key_id: str) -> None:
        """IntegrityError for other names or values; their order is nothing."""
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        turned = dict(reversed(CONTEXT.items()))
        assert driver.decrypt_data_key(key_id, wrapped, context=turned).plain == PLAIN
        for other in OTHERS:
            with pytest.raises(errors.IntegrityError):
                driver.decrypt_data_key(key_id, wrapped, context=other)
        for one, other in self.ALIKE:
            bound = driver.wrap_data_key(key_id, PLAIN, context=one).wrapped
            assert driver.decrypt_data_key(key_id, bound, context=one).plain == PLAIN
            with pytest.raises(errors.IntegrityError):
                driver.decrypt_data_key(key_id, bound, context=other)

    def test_another_key_opens_nothing(
        self, driver: EncryptionDriver, key_id: str, other_key_id: str
    ) -> None:
        """IntegrityError for what another key wrapped."""
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        with pytest.raises(errors.IntegrityError):
            driver.decrypt_data_key(other_key_id, wrapped, context=CONTEXT)

    def test_a_damaged_wrapping_opens_nothing(self, driver: EncryptionDriver, key_id: str) -> None:
        """IntegrityError for a changed bit anywhere, for less, and for more."""
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        step = -(-len(wrapped) // POSITIONS_MAX)
        damaged = [b"", wrapped + b"\0", wrapped * 2, wrapped[:-1], wrapped[1:]]
        for place in range(0, len(wrapped), step):
            flipped = bytearray(wrapped)
            flipped[place] ^= 1 << place % 8
            damaged += [bytes(flipped), wrapped[:place]]
        for one in damaged:
            with pytest.raises(errors.IntegrityError):
                driver.decrypt_data_key(key_id, one, context=CONTEXT)

    def test_a_data_key_moves_to_the_newest_version(
        self, driver: EncryptionDriver, key_id: str
    ) -> None:
        """rewrap: the same data key under the newest version; with the context of the wrapping."""
        if not self.has(driver, EncryptionCapability.REWRAP_VERSION):
            return
        made = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT)
        newest = made.version
        if self.has(driver, EncryptionCapability.ROTATE_KEY):
            newest = driver.rotate_key(key_id).version
            assert newest > made.version
        for _ in range(2):
            wrapped, version = driver.rewrap(key_id, made.wrapped, context=CONTEXT)
            assert version == newest
            assert 0 < len(wrapped) <= encryption.WRAPPED_BYTES_MAX
            opened = driver.decrypt_data_key(key_id, wrapped, context=CONTEXT)
            assert (opened.plain, opened.version) == (PLAIN, newest)
        assert driver.decrypt_data_key(key_id, made.wrapped, context=CONTEXT).plain == PLAIN
        for one, context in ((wrapped, OTHERS[1]), (wrapped[:-1], CONTEXT), (b"", CONTEXT)):
            with pytest.raises(errors.IntegrityError):
                driver.rewrap(key_id, one, context=context)

    def test_a_data_key_moves_to_another_key(
        self, driver: EncryptionDriver, key_id: str, other_key_id: str
    ) -> None:
        """reencrypt: the same data key under the other key and the new context, and no more."""
        if not self.has(driver, EncryptionCapability.REENCRYPT):
            return
        made = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT)
        new_context = {**CONTEXT, "owner": FOREIGN}
        wrapped, version = driver.reencrypt(
            key_id, made.wrapped, other_key_id, context=CONTEXT, new_context=new_context
        )
        assert version == driver.describe_key(other_key_id).version
        opened = driver.decrypt_data_key(other_key_id, wrapped, context=new_context)
        assert opened.plain == PLAIN
        for key, context in ((other_key_id, CONTEXT), (key_id, new_context)):
            with pytest.raises(errors.IntegrityError):
                driver.decrypt_data_key(key, wrapped, context=context)
        for one, context in ((made.wrapped, new_context), (made.wrapped[:-1], CONTEXT)):
            with pytest.raises(errors.IntegrityError):
                driver.reencrypt(
                    key_id, one, other_key_id, context=context, new_context=new_context
                )

    def test_no_plain_key_is_told(
        self,
        driver: EncryptionDriver,
        key_id: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """No plain key shows in a log, a repr or an error."""
        caplog.set_level(logging.DEBUG)
        made = driver.generate_data_key(key_id, context=CONTEXT)
        plain = made.plain
        told = [repr(made), str(made), repr(driver)]
        with driver.wrap_data_key(key_id, plain, context=CONTEXT) as again:
            told.append(repr(again))
            opened = driver.decrypt_data_key(key_id, again.wrapped, context=CONTEXT)
            told.append(repr(opened))
        assert again.plain == bytes(encryption.DATA_KEY_BYTES)
        for wrapped, context in ((made.wrapped, OTHERS[1]), (made.wrapped[:-1], CONTEXT)):
            with pytest.raises(errors.IntegrityError) as caught:
                driver.decrypt_data_key(key_id, wrapped, context=context)
            told += [repr(caught.value), caught.value.operator_message]
            told += traceback.format_exception(caught.value)
        with pytest.raises(errors.InvalidArgument) as refused:
            driver.wrap_data_key(key_id, plain + plain, context=CONTEXT)
        told += [refused.value.operator_message, *traceback.format_exception(refused.value)]
        told += [f"{record.getMessage()} {record.args!r}" for record in caplog.records]
        text = "\n".join(told)
        for shown in (plain.hex(), base64.b64encode(plain).decode(), repr(plain)[2:-1]):
            assert shown not in text
            assert shown[:16] not in text

    def test_another_instance_sees_a_key_at_once(self, driver: EncryptionDriver) -> None:
        """Many processes have the same backend; each sees what the others have made."""
        if not self.has(driver, EncryptionCapability.CREATE_KEY):
            return
        other = self.again(driver)
        for one, another in ((driver, other), (other, driver), (driver, other)):
            key_id = self.make_key(one)
            wrapped = another.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
            assert one.decrypt_data_key(key_id, wrapped, context=CONTEXT).plain == PLAIN
        driver.close()
        assert other.decrypt_data_key(key_id, wrapped, context=CONTEXT).plain == PLAIN
        third = self.again(driver)
        assert third.decrypt_data_key(key_id, wrapped, context=CONTEXT).plain == PLAIN

    def test_many_threads_open_what_they_wrapped(
        self, driver: EncryptionDriver, key_id: str
    ) -> None:
        """One instance serves many threads, also while its key is rotated."""

        def work(number: int) -> bool:
            context = {**CONTEXT, "thread": str(number)}
            for _ in range(ROUNDS):
                made = driver.generate_data_key(key_id, context=context)
                opened = driver.decrypt_data_key(key_id, made.wrapped, context=context)
                if opened.plain != made.plain:
                    return False
            return True

        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            found = pool.map(work, range(THREADS))
            if EncryptionCapability.ROTATE_KEY in driver.info().capabilities:
                driver.rotate_key(key_id)
            assert all(found)

    def test_optional_methods_say_so_when_missing(
        self, driver: EncryptionDriver, key_id: str
    ) -> None:
        """Without the capability a method raises NotSupported."""
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        optional: dict[EncryptionCapability, Callable[[], Any]] = {
            EncryptionCapability.LIST_KEYS: lambda: driver.list_keys(PROJECT),
            EncryptionCapability.CREATE_KEY: lambda: driver.create_key(
                PROJECT, "law", request_token="none"
            ),
            EncryptionCapability.DISABLE_KEY: lambda: driver.set_key_enabled(key_id, enabled=True),
            EncryptionCapability.ROTATE_KEY: lambda: driver.rotate_key(key_id),
            EncryptionCapability.REWRAP_VERSION: lambda: driver.rewrap(
                key_id, wrapped, context=CONTEXT
            ),
            EncryptionCapability.REENCRYPT: lambda: driver.reencrypt(
                key_id, wrapped, key_id, context=CONTEXT, new_context=CONTEXT
            ),
        }
        for capability, call in optional.items():
            if not self.has(driver, capability):
                with pytest.raises(errors.NotSupported):
                    call()
