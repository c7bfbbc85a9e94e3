"""Loaded into processes by `JOBS_EXTRA_TASK_MODULES`: each says when it connects to the database."""

from tests.harness.deaths import say_who_connects

say_who_connects()
