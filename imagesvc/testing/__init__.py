"""What driver authors test with; installed with the package."""
