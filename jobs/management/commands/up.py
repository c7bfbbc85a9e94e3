"""`manage.py up`: the whole product in this process, on SQLite, without any server."""

import os
import signal
import sys
from argparse import ArgumentParser
from typing import Any

from celery._state import get_current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.shortcuts import resolve_url

from jobs.engine.embedded.house import House
from jobs.engine.embedded.lock import AlreadyUp, only_one
from jobs.schedules.sync import sync_schedules


class Command(BaseCommand):
    help = "Run web, relay, worker and scheduler in this process until told to stop (Ctrl-C)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="8000; 0 picks a free one.")
        parser.add_argument("--threads", type=int, default=4, help="Jobs that run at once (4).")

    def handle(self, *, port: int, threads: int, **options: Any) -> None:
        refuse_other_profiles()
        try:
            with only_one(settings.JOBS_LOCK_FILE):
                refuse_old_schema()
                sync_schedules()
                self._live(port, threads)
        except AlreadyUp as held:
            raise CommandError(str(held)) from None

    def _live(self, port: int, threads: int) -> None:
        try:
            house = House(get_current_app(), port=port, threads=threads)
        except OSError as error:
            raise CommandError(f"Port {port} can't be used: {error.strerror}.") from None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: house.ask_to_stop())
        house.start()
        self._welcome(house.web.url)
        house.wait()
        self.stdout.write("Stopping: what runs has a moment to finish.")
        self._leave(house, all_ended=house.stop())

    def _welcome(self, url: str) -> None:
        for title, page in settings.JOBS_UP_PAGES.items():
            self.stdout.write(f"  {title:<10} {url}{resolve_url(page)}")
        self.stdout.write("Offload is up in this process; Ctrl-C stops it.")
        self.stdout.flush()

    def _leave(self, house: House, *, all_ended: bool) -> None:
        if house.failed_part:
            self.stderr.write(f"The {house.failed_part} ended by itself; the log says why.")
        self.stdout.write("Stopped.")
        status = 1 if house.failed_part else 0
        if not all_ended:
            # Python would wait for the thread of a job that has been handed over.
            self.stdout.flush()
            os._exit(status)
        sys.exit(status)


def refuse_other_profiles() -> None:
    """With servers other processes may be at work, and a start would put their jobs back."""
    if settings.PROFILE != "embedded":
        raise CommandError(
            "CELERY_BROKER_URL names RabbitMQ: start web, relay and worker instead (Procfile)."
        )
    if connection.vendor != "sqlite":
        raise CommandError(
            "DATABASE_URL names a server: `up` is for SQLite alone. Set CELERY_BROKER_URL and "
            "start web, relay and worker (Procfile)."
        )


def refuse_old_schema() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database lacks migrations: run `manage.py migrate` first.")
