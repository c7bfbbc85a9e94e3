"""Events and their daily counts, and what Prometheus reads."""
