"""The web console: sources and the built files that are served."""
