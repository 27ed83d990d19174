"""The records of servers are those of all drivers that keep things in folders."""

from imagesvc_drivers.client.record import lock, read, sync_folder, try_lock, write

__all__ = ["lock", "read", "sync_folder", "try_lock", "write"]
