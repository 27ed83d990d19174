"""Where the audit trail is sent."""
