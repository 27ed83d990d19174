"""What drivers of several kinds share."""
