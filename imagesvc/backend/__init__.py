"""Configured drivers: an id, a driver and its options."""
