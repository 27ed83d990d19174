"""The book of long work is that of all drivers that keep things in folders."""

from imagesvc_drivers.client.operation_book import Crew, OperationBook, progress, recorded

__all__ = ["Crew", "OperationBook", "progress", "recorded"]
