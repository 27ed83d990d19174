"""The laws of each driver kind as test classes."""
