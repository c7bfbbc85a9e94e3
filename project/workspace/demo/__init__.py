"""The rows of the demonstration: each is a function of its number, so every run makes the same."""
