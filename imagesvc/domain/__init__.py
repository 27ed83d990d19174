"""What the service speaks of: entities, states and queries, without HTTP and SQL."""
