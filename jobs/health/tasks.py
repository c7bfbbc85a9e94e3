"""The job that looks at the health of the installation."""
