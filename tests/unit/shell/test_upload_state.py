"""What the command remembers of uploads."""

import os

import pytest

from imagesvc.shell.upload_state import Remembered, UploadState


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file, and a state folder that does not exist yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a" / "b"))
    path = tmp_path / "image"
    path.write_bytes(b"x")
    return path


def state(file, cloud="c"):
    """What a command would remember now."""
    return UploadState(file, os.stat(file), cloud)


def test_an_upload_is_remembered_until_it_is_forgotten(file):
    assert state(file).read() is None
    state(file).write(Remembered("image", "upload"))
    assert state(file).read() == Remembered("image", "upload")
    state(file).forget()
    state(file).forget()
    assert state(file).read() is None


def test_another_file_cloud_or_content_is_another_upload(file):
    state(file).write(Remembered("image", "upload"))
    assert state(file, "other").read() is None
    os.utime(file, (1, 1))
    assert state(file).read() is None


def test_it_is_found_by_another_name_of_the_same_file(file, tmp_path):
    state(file).write(Remembered("image", "upload"))
    link = tmp_path / "link"
    link.symlink_to(file)
    assert state(link).read() == Remembered("image", "upload")


def test_nobody_else_may_read_it_and_nonsense_is_nothing(file, tmp_path):
    state(file).write(Remembered("image", "upload"))
    [kept] = (tmp_path / "a").rglob("*.json")
    assert kept.stat().st_mode & 0o077 == 0
    for text in ("", "[]", "{}", '{"image_id": "i", "other": 1}'):
        kept.write_text(text)
        assert state(file).read() is None


def test_a_folder_that_cannot_be_written_is_no_error(file, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    state(file).write(Remembered("image", "upload"))
    assert state(file).read() is None
