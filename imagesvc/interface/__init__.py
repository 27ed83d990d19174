"""The contract that driver authors write against."""
