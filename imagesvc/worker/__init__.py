"""The job door: claims jobs and runs their steps."""
