"""The nightly clean-up: its parts, which the apps register, and deleting in batches."""
