"""Keys in a file: the laws of the kind, and what is odd about this driver."""

import base64
import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from imagesvc.interface import errors
from imagesvc.interface.base import HealthState
from imagesvc.testing.conformance import sync_trace
from imagesvc.testing.conformance.encryption import CONTEXT, PROJECT, EncryptionConformance
from imagesvc.testing.conformance.encryption_key import PLAIN
from imagesvc_drivers.encryption.local import LocalEncryption
from tests import small_disk

MAKE = """
import sys
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.encryption.local import LocalEncryption
driver = LocalEncryption(options_of(LocalEncryption, {"path": sys.argv[1]}), backend_id="test")
driver.open()
driver.create_key("project", "name", request_token="token")
"""


class TestLocalEncryption(EncryptionConformance):
    CREATE_CRASH_POINTS = ("encryption.local.created",)
    ROTATE_CRASH_POINTS = ("encryption.local.rotated",)

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "encryption" / "keys.json"

    @pytest.fixture
    def driver(self, path: Path) -> LocalEncryption:
        return self.make(LocalEncryption, path=str(path))

    def test_a_missing_file_is_made_for_its_owner_alone(
        self, driver: LocalEncryption, path: Path
    ) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert driver.list_keys(PROJECT) == ()
        self.make_key(driver)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
    def test_a_file_that_others_may_open_is_refused_until_it_is_closed_to_them(
        self, driver: LocalEncryption, path: Path, key_id: str, mode: int
    ) -> None:
        path.chmod(mode)
        self.assert_refused(driver, key_id, "chmod 600")
        path.chmod(0o600)
        assert driver.describe_key(key_id).id == key_id

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda text: "",
            lambda text: text[: len(text) // 2],
            lambda text: "[]",
            lambda text: "{}",
            lambda text: "[" * 100_000,
            lambda text: text.replace('"enabled"', '"disabled"'),
            lambda text: text.replace(json.loads(text)["sha256"], "0" * 64),
            lambda text: "\0" * len(text),
        ],
    )
    def test_a_damaged_file_is_refused_until_a_copy_is_put_back(
        self, driver: LocalEncryption, path: Path, key_id: str, spoil
    ) -> None:
        whole = path.read_text()
        path.write_text(spoil(whole))
        self.assert_refused(driver, key_id, "put back a copy")
        path.write_text(whole)
        assert driver.describe_key(key_id).id == key_id

    def test_a_file_that_is_gone_is_not_made_anew_while_the_service_runs(
        self, driver: LocalEncryption, path: Path, key_id: str
    ) -> None:
        kept = path.rename(path.with_name("kept"))
        for name in ("generate_data_key", "create_key"):
            arguments = {"generate_data_key": (key_id,), "create_key": (PROJECT, "new")}[name]
            more = {"context": CONTEXT} if name == "generate_data_key" else {"request_token": "new"}
            with pytest.raises(errors.Unavailable) as caught:
                getattr(driver, name)(*arguments, **more)
            assert "put back a copy" in caught.value.operator_message
        assert not path.exists()
        kept.rename(path)
        assert driver.describe_key(key_id).id == key_id

    def test_a_folder_that_is_gone_is_no_missing_key(
        self, driver: LocalEncryption, path: Path, key_id: str
    ) -> None:
        path.parent.rename(path.parent.with_name("elsewhere"))
        with pytest.raises(errors.Unavailable):
            driver.rotate_key(key_id)

    def test_a_newer_format_is_left_alone(self, driver: LocalEncryption, path: Path) -> None:
        body = json.loads(path.read_text())
        path.write_text(json.dumps(body | {"format": 2}))
        before = path.read_bytes()
        with pytest.raises(errors.Unavailable) as caught:
            driver.create_key(PROJECT, "new", request_token="new")
        assert "format 2" in caught.value.operator_message
        assert path.read_bytes() == before

    def assert_refused(self, driver: LocalEncryption, key_id: str, what_to_do: str) -> None:
        """By a running instance, by its writers, at the start, and by its health."""
        calls = [
            lambda: driver.generate_data_key(key_id, context=CONTEXT),
            lambda: driver.create_key(PROJECT, "new", request_token="new"),
            lambda: self.again(driver),
        ]
        for call in calls:
            with pytest.raises(errors.Unavailable) as caught:
                call()
            assert what_to_do in caught.value.operator_message
            assert str(os.path.sep) not in caught.value.user_message
        health = driver.health()
        assert (health.state, what_to_do in health.detail) == (HealthState.DOWN, True)

    def test_a_copy_that_is_put_back_with_its_size_and_time_is_read(
        self, driver: LocalEncryption, path: Path, key_id: str, tmp_path: Path
    ) -> None:
        other = self.make(LocalEncryption, path=str(tmp_path / "other.json"))
        others = self.make_key(other)
        assert driver.describe_key(key_id)
        before = path.stat()
        copy = (tmp_path / "other.json").read_bytes()
        assert len(copy) == before.st_size
        path.write_bytes(copy)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert driver.describe_key(others).id == others
        with pytest.raises(errors.NotFound):
            driver.describe_key(key_id)

    def test_what_a_killed_writer_left_is_removed_since_it_holds_keys(
        self, driver: LocalEncryption, path: Path
    ) -> None:
        left = path.with_name(f".{path.name}.1.2")
        left.write_text("keys")
        self.make_key(driver)
        assert {each.name for each in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}

    def test_the_file_grows_by_a_new_version_alone(
        self, driver: LocalEncryption, path: Path, key_id: str
    ) -> None:
        def versions() -> list[str]:
            found: list[str] = json.loads(path.read_text())["keys"][key_id]["versions"]
            return found

        before = versions()
        driver.rotate_key(key_id)
        assert versions()[:-1] == before
        assert len({base64.b64decode(one) for one in versions()}) == 2

    def test_what_changes_nothing_writes_nothing(
        self, driver: LocalEncryption, path: Path, key_id: str
    ) -> None:
        before = path.stat()
        driver.set_key_enabled(key_id, enabled=True)
        assert path.stat().st_ino == before.st_ino

    def test_what_a_newer_release_wrote_besides_is_kept(
        self, driver: LocalEncryption, path: Path, key_id: str
    ) -> None:
        from imagesvc_drivers.encryption import local_file

        keys = json.loads(path.read_text())["keys"]
        keys[key_id]["newer"] = 1
        path.write_text(json.dumps({"format": 1, "sha256": local_file._digest(keys), "keys": keys}))
        driver.rotate_key(key_id)
        assert json.loads(path.read_text())["keys"][key_id]["newer"] == 1

    def test_ids_are_uuids(self, driver: LocalEncryption, key_id: str) -> None:
        assert str(uuid.UUID(key_id)) == key_id
        assert uuid.UUID(key_id).version == 4

    def test_no_version_that_is_not_there_opens(self, driver: LocalEncryption, key_id: str) -> None:
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        for version in (0, 2, 2**32 - 1):
            forged = wrapped[:1] + version.to_bytes(4, "big") + wrapped[5:]
            with pytest.raises(errors.IntegrityError):
                driver.decrypt_data_key(key_id, forged, context=CONTEXT)

    def test_a_key_is_on_the_disk_before_it_is_given(self, tmp_path: Path) -> None:
        trace, strace = tmp_path / "trace", shutil.which("strace")
        assert strace is not None
        command = [*sync_trace.command(strace, trace), sys.executable, "-c", MAKE]
        subprocess.run([*command, str(tmp_path / "keys.json")], check=True)
        files, unflushed = sync_trace.judge(trace, 300)
        assert (files, unflushed) == (1, [])

    @pytest.mark.peer
    def test_a_kill_at_any_line_leaves_the_keys_whole(
        self, driver: LocalEncryption, key_id: str
    ) -> None:
        self.CREATE_CRASH_POINTS = self.ROTATE_CRASH_POINTS = ()  # type: ignore[misc]
        self.test_a_key_that_was_begun_is_made_once_after_a_kill(driver)
        self.test_a_key_opens_though_its_rotation_was_killed(driver, key_id)

    def test_a_full_disk_is_told_and_the_keys_stay(self, tmp_path: Path) -> None:
        place = tmp_path / "full"
        place.mkdir()
        with small_disk.mounted(place, 1):
            driver = self.make(LocalEncryption, path=str(place / "keys.json"))
            key_id = self.make_key(driver)
            with contextlib.suppress(OSError), (place / "filler").open("wb") as filler:
                filler.write(bytes(2 << 20))
            with pytest.raises(errors.NoSpace):
                driver.create_key(PROJECT, "x" * 20_000, request_token="full")
            assert driver.describe_key(key_id).id == key_id
            assert driver.describe_key(key_id).version == 1
            driver.close()

    def test_a_relative_path_is_refused(self) -> None:
        with pytest.raises(errors.InvalidConfiguration):
            self.construct(LocalEncryption, path="keys.json")
