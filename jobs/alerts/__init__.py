"""Tells people what went wrong: grouped, by every channel, never in the way of the work."""
