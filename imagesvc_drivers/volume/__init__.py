"""Where data volumes are kept."""
