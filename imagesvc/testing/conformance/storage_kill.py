"""Laws of storage drivers whose writer is killed, or whose machine loses its power."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from imagesvc.interface import base, errors
from imagesvc.interface.storage import StorageCapability, StorageDriver
from imagesvc.testing.conformance import child, line_kill, storage_child, sync_trace
from imagesvc.testing.conformance.storage_object import (
    BLOCK,
    StorageObjectConformance,
    holds,
    write,
)

KILL_SIZE = 1_500_000
MEASURE_SIZE = 96 << 20
GROWTH_KIB_MAX = 48 << 10
_SEED = 11


class StorageKillConformance(StorageObjectConformance):
    """`crashpoints` names the points inside the driver's commit, if it has any.

    Besides, every driver is killed before some of the lines of its own code inside commit.
    `kill_size` bytes are written then: give more if larger objects take another way.
    """

    crashpoints: ClassVar[tuple[str, ...]] = ()
    kill_size: ClassVar[int] = KILL_SIZE

    def run_child(
        self,
        driver: StorageDriver,
        key: str,
        die: str,
        *,
        crashpoint: str = "",
        step: line_kill.Step | None = None,
        size: int | None = None,
        under: Sequence[str] = (),
    ) -> "subprocess.CompletedProcess[bytes]":
        """Let a child process write `key`; see `storage_child` for `die` and `step`."""
        driver_class, backend_id, options = self.recipe(driver)
        order: dict[str, Any] = {
            "driver": f"{driver_class.__module__}:{driver_class.__qualname__}",
            "backend_id": backend_id,
            "options": options,
            "key": key,
            "size": size or self.kill_size,
            "seed": _SEED,
            "die": die,
            "step": step,
        }
        return subprocess.run(
            [*under, sys.executable, "-m", "imagesvc.testing.conformance.storage_child"],
            input=json.dumps(order, default=str).encode(),
            env=child.environment(crashpoint),
            capture_output=True,
            timeout=120,
            check=False,
        )

    def kill_writer(
        self,
        driver: StorageDriver,
        key: str,
        die: str,
        crashpoint: str = "",
        step: line_kill.Step | None = None,
    ) -> bytes:
        """Let a child process write `key` and be killed; gives what it wrote."""
        done = self.run_child(driver, key, die, crashpoint=crashpoint, step=step)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        return storage_child.content(_SEED, self.kill_size)

    def run_to_its_end(
        self, driver: StorageDriver, key: str, die: str, size: int | None = None
    ) -> Any:
        """Let a child write `key` and live; gives what it prints."""
        done = self.run_child(driver, key, die, size=size)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def assert_nothing_or_the_whole(self, driver: StorageDriver, key: str, data: bytes) -> None:
        """Never a part; and the key can be deleted and used again."""
        driver.discard_stale(older_than_s=0)
        try:
            found = driver.stat(key)
        except errors.NotFound:
            self.assert_absent(driver, key)
        else:
            assert found.size_bytes == len(data)
            assert holds(driver.open_read(key), data)
        driver.delete(key)
        write(driver, key, b"after")
        assert holds(driver.open_read(key), b"after")

    def test_a_killed_write_is_gone_on_with(self, driver: StorageDriver, key: str) -> None:
        """RESUMABLE_WRITE: a kill leaves what `resume_write` finds, and nothing that is visible."""
        able = StorageCapability.RESUMABLE_WRITE in driver.info().capabilities
        if not able or driver.contract < base.Version(1, 3):
            return
        killed = self.run_child(driver, key, "resumable")
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        self.assert_absent(driver, key)
        data = storage_child.content(_SEED, self.kill_size)
        with driver.resume_write(key, killed.stdout.decode().strip()) as writer:
            assert writer.offset <= len(data)
            writer.write(data[writer.offset :])
            writer.commit()
        assert holds(driver.open_read(key), data)

    def test_a_writer_killed_before_commit_leaves_nothing(
        self, driver: StorageDriver, key: str
    ) -> None:
        """A kill leaves nothing that can be seen, and the key is free."""
        self.kill_writer(driver, key, "written")
        self.assert_absent(driver, key)
        driver.discard_stale(older_than_s=0)
        self.assert_absent(driver, key)
        write(driver, key, b"after")
        assert holds(driver.open_read(key), b"after")

    def test_a_writer_killed_after_commit_leaves_the_whole(
        self, driver: StorageDriver, key: str
    ) -> None:
        """What `commit` returned for stays, also once the rest of the writer is discarded."""
        data = self.kill_writer(driver, key, "committed")
        driver.discard_stale(older_than_s=0)
        assert holds(self.again(driver).open_read(key), data)

    def test_a_writer_killed_inside_commit_leaves_nothing_or_the_whole(
        self, driver: StorageDriver, key: str
    ) -> None:
        """At each crash point and at lines of the driver's commit; the key can be dealt with."""
        for number, crashpoint in enumerate(self.crashpoints):
            used = f"{key}-point-{number}"
            data = self.kill_writer(driver, used, "committed", crashpoint)
            self.assert_nothing_or_the_whole(driver, used, data)
        steps = self.run_to_its_end(driver, f"{key}-whole", "steps")
        for number, step in enumerate(steps):
            used = f"{key}-step-{number}"
            data = self.kill_writer(driver, used, "committed", step=step)
            self.assert_nothing_or_the_whole(driver, used, data)
        self.note(f"killed at {len(self.crashpoints)} named points and {len(steps)} lines")

    def test_bytes_are_on_the_disk_before_commit_returns(
        self, driver: StorageDriver, key: str, tmp_path: Path
    ) -> None:
        """After `commit` returns a crash of the machine loses nothing.

        A trace of the system calls shows whether each local file that took the bytes, and each
        directory where one got its name, was flushed afterwards. Bytes that go elsewhere are
        that side's promise.
        """
        strace = shutil.which("strace")
        if strace is None:
            pytest.skip("strace is not installed")
        trace = tmp_path / "trace"
        self.run_child(driver, key, "committed", under=sync_trace.command(strace, trace))
        assert self.again(driver).stat(key).size_bytes == self.kill_size
        files, unflushed = sync_trace.judge(trace, self.kill_size // 4)
        assert unflushed == []
        self.note("flushed local files" if files else "the bytes went to no local file")

    def test_memory_stays_small_whatever_the_size(self, driver: StorageDriver, key: str) -> None:
        """A writer and a reader hold 48 MiB, or what `limits` says under `memory_bytes_max`."""
        held = driver.info().limits.get("memory_bytes_max", GROWTH_KIB_MAX << 10)
        grown = self.run_to_its_end(driver, key, "measure", MEASURE_SIZE)
        assert grown < held >> 10, f"{grown} KiB for an object of {MEASURE_SIZE >> 10} KiB"
        driver.delete(key)

    def test_discarding_spares_what_is_young_or_committed(
        self, driver: StorageDriver, key: str
    ) -> None:
        """`discard_stale` takes only what is older and was never committed."""
        write(driver, f"{key}-kept", b"kept")
        with driver.open_write(key) as writer:
            writer.write(b"x" * BLOCK)
            driver.discard_stale(older_than_s=3600)
            writer.write(b"y")
            writer.commit()
        assert holds(driver.open_read(key), b"x" * BLOCK + b"y")
        assert holds(driver.open_read(f"{key}-kept"), b"kept")
