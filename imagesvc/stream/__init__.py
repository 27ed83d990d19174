"""The one pipe that image bytes pass."""
