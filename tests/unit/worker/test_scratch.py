"""The work area of a host: what is set aside, what the dead leave."""

import fcntl
import multiprocessing
import os
import shutil
import signal
import tempfile

import pytest

from imagesvc import errors
from imagesvc.worker import scratch
from imagesvc.worker.scratch import Scratch, folders


def test_a_folder_is_there_for_its_block_alone(tmp_path):
    area = Scratch(tmp_path / "area", 1000)
    with area.reserve("job", 1000) as folder:
        (folder / "image").write_bytes(b"x")
        assert folder.name == "job"
        assert area.sweep() == 0
    assert folders(area.root) == []


def test_no_more_is_set_aside_than_there_is(tmp_path):
    area = Scratch(tmp_path, 1000)
    with area.reserve("one", 600):
        with pytest.raises(errors.ScratchFull), area.reserve("two", 401):
            pass
        with area.reserve("three", 400):
            pass
    with area.reserve("four", 1000):
        pass
    with pytest.raises(errors.TooLarge), area.reserve("five", 1001):
        pass
    with pytest.raises(errors.TooLarge), Scratch(tmp_path, 0).reserve("six", 1 << 60):
        pass


def _hold(root, ready):
    with Scratch(root, 1000).reserve("dead", 900) as folder:
        (folder / "image").write_bytes(b"x" * 100)
        ready.set()
        signal.pause()


@pytest.mark.parametrize("how", ["sweep", "reserve"])
def test_what_a_killed_process_held_is_free_again(tmp_path, how):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=_hold, args=(tmp_path, ready))
    child.start()
    assert ready.wait(10)
    area = Scratch(tmp_path, 1000)
    with pytest.raises(errors.ScratchFull), area.reserve("mine", 200):
        pass
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    if how == "sweep":
        assert area.sweep() == 1
        assert folders(tmp_path) == []
    with area.reserve("mine", 1000):
        assert [one.name for one in folders(tmp_path)] == ["mine"]


def test_a_use_that_ends_meanwhile_takes_no_room(tmp_path):
    ending = tmp_path / "ending"
    ending.mkdir()
    # It gave its lock back after it was looked at, and its files are gone already.
    with (ending / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with Scratch(tmp_path, 1000).reserve("mine", 1000) as folder:
            assert folder.is_dir()


def test_plain_bytes_of_encrypted_images_are_in_a_folder_of_the_service_alone(service, tmp_path):
    memory = tempfile.mkdtemp(dir="/dev/shm")
    service.conf.set_override("memory_scratch_dir", f"{memory}/own", "worker")
    try:
        with scratch.of(service, encrypted=True).reserve("job", 1000) as folder:
            assert folder.parent.stat().st_mode & 0o777 == 0o700
        os.chmod(f"{memory}/own", 0o755)
        with pytest.raises(errors.ConfigurationError, match="service's alone"):
            scratch.of(service, encrypted=True)
        (tmp_path / "disk").mkdir(mode=0o700)
        os.symlink(tmp_path / "disk", f"{memory}/link")
        for place in (f"{memory}/link", str(tmp_path / "disk")):
            service.conf.set_override("memory_scratch_dir", place, "worker")
            with pytest.raises(errors.ConfigurationError, match="tmpfs"):
                scratch.of(service, encrypted=True)
    finally:
        shutil.rmtree(memory)
