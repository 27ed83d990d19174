"""Where copies of whole servers are kept."""
