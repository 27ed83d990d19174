"""Laws of storage drivers whose writer is killed."""

import json
import os
import signal
import subprocess
import sys
from typing import ClassVar

from imagesvc.interface import errors
from imagesvc.interface.storage import StorageDriver
from imagesvc.testing.conformance import storage_child
from imagesvc.testing.conformance.storage_object import (
    BLOCK,
    StorageObjectConformance,
    drain,
    write,
)

KILL_SIZE = 1_500_000


class StorageKillConformance(StorageObjectConformance):
    """`crashpoints` names the points inside the driver's commit."""

    crashpoints: ClassVar[tuple[str, ...]] = ()

    def kill_writer(self, driver: StorageDriver, key: str, die: str, crashpoint: str = "") -> bytes:
        """Let a child process write `key` and be killed; gives what it wrote."""
        driver_class, backend_id, options = self.recipe(driver)
        order = {
            "driver": f"{driver_class.__module__}:{driver_class.__qualname__}",
            "backend_id": backend_id,
            "options": options,
            "key": key,
            "size": KILL_SIZE,
            "seed": 11,
            "die": die,
        }
        done = subprocess.run(
            [sys.executable, "-m", "imagesvc.testing.conformance.storage_child"],
            input=json.dumps(order, default=str).encode(),
            env=os.environ | {"IMAGESVC_CRASHPOINT": crashpoint},
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        return storage_child.content(11, KILL_SIZE)

    def test_a_writer_killed_before_commit_leaves_nothing(
        self, driver: StorageDriver, key: str
    ) -> None:
        """A kill leaves nothing that can be seen, and the key is free."""
        self.kill_writer(driver, key, "written")
        self.assert_absent(driver, key)
        driver.discard_stale(older_than_s=0)
        self.assert_absent(driver, key)
        write(driver, key, b"after")
        assert drain(driver.open_read(key)) == b"after"

    def test_a_writer_killed_after_commit_leaves_the_whole(
        self, driver: StorageDriver, key: str
    ) -> None:
        """What `commit` returned for stays, also once the rest of the writer is discarded."""
        data = self.kill_writer(driver, key, "committed")
        driver.discard_stale(older_than_s=0)
        assert drain(self.again(driver).open_read(key)) == data

    def test_a_writer_killed_inside_commit_leaves_nothing_or_the_whole(
        self, driver: StorageDriver, key: str
    ) -> None:
        """At each crash point of the driver; never a part, and the key can be dealt with."""
        for number, crashpoint in enumerate(self.crashpoints):
            used = f"{key}-{number}"
            data = self.kill_writer(driver, used, "committed", crashpoint)
            driver.discard_stale(older_than_s=0)
            try:
                found = driver.stat(used)
            except errors.NotFound:
                self.assert_absent(driver, used)
            else:
                assert found.size_bytes == len(data)
                assert drain(driver.open_read(used)) == data
            driver.delete(used)
            write(driver, used, b"after")

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
        assert drain(driver.open_read(key)) == b"x" * BLOCK + b"y"
        assert drain(driver.open_read(f"{key}-kept")) == b"kept"
