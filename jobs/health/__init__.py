"""The history of health checks."""
