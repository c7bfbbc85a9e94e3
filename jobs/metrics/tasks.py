"""The job that counts events."""
