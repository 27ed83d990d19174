"""The IMS dialect (cloudimages)."""
