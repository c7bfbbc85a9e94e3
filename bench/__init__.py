"""Measures what the product claims about speed: `make bench`."""
