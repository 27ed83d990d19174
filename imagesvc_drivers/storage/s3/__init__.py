"""Image bytes as objects of an S3 bucket."""

from imagesvc_drivers.storage.s3.driver import S3Storage

__all__ = ["S3Storage"]
