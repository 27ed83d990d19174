"""The only place where state changes: one manager a noun."""
