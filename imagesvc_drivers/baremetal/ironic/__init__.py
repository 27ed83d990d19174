"""Nodes that Ironic looks after."""

from imagesvc_drivers.baremetal.ironic.driver import IronicBaremetal

__all__ = ["IronicBaremetal"]
