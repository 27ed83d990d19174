"""The /v3 door of the embedded identity."""
