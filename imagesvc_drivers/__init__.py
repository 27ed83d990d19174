"""The drivers that come with the service, found by entry points."""
