"""Where public image families are listed."""
