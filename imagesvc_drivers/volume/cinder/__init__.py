"""Volumes that Cinder looks after."""

from imagesvc_drivers.volume.cinder.driver import CinderVolume

__all__ = ["CinderVolume"]
