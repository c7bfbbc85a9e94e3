"""The admin's pages for jobs, and the base of pages for rows that only operations write."""

from jobs.admin.jobs import JobAdmin

__all__ = ["JobAdmin"]
