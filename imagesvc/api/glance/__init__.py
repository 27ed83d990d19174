"""The Glance v2 dialect."""
