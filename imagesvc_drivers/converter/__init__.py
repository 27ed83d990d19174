"""What reads and converts disk formats."""
