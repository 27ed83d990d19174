"""Tables and their statements, one file a noun."""
