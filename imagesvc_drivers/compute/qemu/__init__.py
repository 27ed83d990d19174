"""Servers as QEMU processes on this machine."""

from imagesvc_drivers.compute.qemu.driver import QemuCompute

__all__ = ["QemuCompute"]
