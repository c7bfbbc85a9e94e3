"""The chaos test: real processes, a seeded script of faults, and what became of each export."""
