"""Our own API, /imagesvc/v1."""
