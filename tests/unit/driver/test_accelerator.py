"""Which accelerator the QEMU backend takes, by programs that stand in for QEMU."""

import os

import pytest

from imagesvc_drivers.compute.qemu import accelerator

PROGRAM = """#!/bin/sh
case "$*" in
*"accel kvm"*) {kvm} ;;
*) {tcg} ;;
esac
"""
SPEAKS = "echo IMAGESVC-ACCEL"


@pytest.fixture(autouse=True)
def device(monkeypatch, tmp_path):
    """A host that has KVM."""
    path = tmp_path / "kvm"
    path.touch()
    monkeypatch.setattr(accelerator, "_KVM", path)
    return path


def program(folder, **does):
    """A QEMU that does so; its path."""
    path = folder / "qemu"
    path.write_text(PROGRAM.format(**does))
    os.chmod(path, 0o755)
    return str(path)


@pytest.mark.parametrize(
    ("kvm", "tcg", "chosen"),
    [
        (SPEAKS, SPEAKS, "kvm"),
        (f"{SPEAKS}; sleep 60", SPEAKS, "tcg"),
        ("sleep 60", SPEAKS, "tcg"),
        ("exit 1", SPEAKS, "tcg"),
        (SPEAKS, "exit 1", "kvm"),
        ("exit 1", "exit 1", "tcg"),
    ],
    ids=["both", "slow", "silent", "broken", "alone", "neither"],
)
def test_kvm_is_taken_if_a_guest_runs_on_it_and_not_many_times_slower(
    tmp_path, monkeypatch, kvm, tcg, chosen
):
    monkeypatch.setattr(accelerator, "_WAIT_S", 1.0)
    made = program(tmp_path, kvm=kvm, tcg=tcg)
    assert accelerator.choose("auto", made, tmp_path) == chosen


def test_without_kvm_no_guest_is_tried(tmp_path, device):
    device.unlink()
    made = program(tmp_path, kvm=SPEAKS, tcg="touch $0.ran")
    assert accelerator.choose("auto", made, tmp_path) == "tcg"
    assert not (tmp_path / "qemu.ran").exists()


def test_the_answer_is_kept_for_this_qemu(tmp_path):
    made = program(tmp_path, kvm=SPEAKS, tcg=SPEAKS)
    assert accelerator.choose("auto", made, tmp_path) == "kvm"
    program(tmp_path, kvm="exit 1", tcg=SPEAKS)
    assert accelerator.choose("auto", made, tmp_path) == "kvm"
    (tmp_path / "other").symlink_to(made)
    assert accelerator.choose("auto", str(tmp_path / "other"), tmp_path) == "tcg"
