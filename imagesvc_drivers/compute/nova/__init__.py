"""Servers of OpenStack Compute."""

from imagesvc_drivers.compute.nova.driver import NovaCompute

__all__ = ["NovaCompute"]
