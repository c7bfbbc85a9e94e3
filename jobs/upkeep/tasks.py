"""The jobs of the nightly clean-up."""
