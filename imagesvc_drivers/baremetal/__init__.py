"""Where bare-metal machines are deployed."""
