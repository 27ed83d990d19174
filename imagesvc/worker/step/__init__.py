"""The steps of long work, one noun a file."""
