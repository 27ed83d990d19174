"""The imagesvc command of users: speaks HTTP, imports nothing of the service."""
