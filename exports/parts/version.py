"""Which code wrote a file."""

#: The product's version, as in pyproject.toml, which is no part of a deployment.
CODE_VERSION = "0.1.0"
