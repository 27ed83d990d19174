"""The shelf of snapshots is that of all drivers that keep disks in folders."""

from imagesvc_drivers.client.snapshot_shelf import SnapshotShelf

__all__ = ["SnapshotShelf"]
