"""The relay's loop: relay, recover, show a sign of life, sleep; and wait out what is away."""

import os
import socket
import threading
import time
from datetime import datetime, timedelta

import psycopg
from django.conf import settings
from django.db import Error, connection
from django.db.models import Q
from django.utils import timezone

from jobs import log_events
from jobs.database_clock import database_now
from jobs.engine import chores, missing, relay
from jobs.engine.alarm_clock import AlarmClock, set_alarm
from jobs.engine.publisher import Publisher, Unconfirmed
from jobs.engine.recovery import Sweeper
from jobs.models import Process

#: How often a daemon writes that it lives.
SIGN_OF_LIFE_SECONDS = 5

#: The first and the longest pause while the broker or the database is away.
PAUSE_SECONDS = (0.2, 5.0)


class RelayDaemon:
    """Relays until told to stop. Any number may run; an outage never ends one."""

    def __init__(self, publisher: Publisher, stopping: threading.Event) -> None:
        self._publisher = publisher
        self._stopping = stopping
        self._sweeper = Sweeper(publisher)
        self._alarm: AlarmClock | None = None
        self._pause = PAUSE_SECONDS[0]
        self._next_sweep = time.monotonic() + settings.JOBS_RECOVERY_INTERVAL_SECONDS
        self._next_sign = 0.0
        self._caught_up_at: datetime | None = None
        self.name = f"relay@{socket.gethostname()}:{os.getpid()}"

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
                self._pause = PAUSE_SECONDS[0]
            except Unconfirmed as error:
                self._wait_for("broker", error)
            except (Error, psycopg.Error) as error:
                self._wait_for("database", error)
                self._forget_connections()
        self._sign_off()
        self._forget_connections()
        self._publisher.close()

    def _turn(self) -> None:
        """Recover now and then, relay a batch, and sleep once nothing is due."""
        # Listening begins before the look at the ledger: a job committed between them wakes us.
        self._alarm = self._alarm or set_alarm(self._stopping)
        self._show_life()
        chores.do_what_is_due()
        self._recover()  # First: under load there is always more to relay.
        sent = missing.send_missing_dead_letters(self._publisher)
        taken = relay.relay_due_jobs(self._publisher)
        if taken < settings.JOBS_RELAY_BATCH_JOBS:
            self._caught_up_at = timezone.now()
        if not (sent or taken):
            self._alarm.sleep(min(relay.seconds_until_due(), chores.seconds_until_next()))

    def _show_life(self) -> None:
        if time.monotonic() < self._next_sign:
            return
        signs = {"seen_at": database_now(), "caught_up_at": self._caught_up_at}
        Process.objects.update_or_create(name=self.name, defaults={"kind": "relay", **signs})
        self._next_sign = time.monotonic() + SIGN_OF_LIFE_SECONDS

    def _sign_off(self) -> None:
        """
        Leave no sign of life behind: of this relay, or of one that was killed long ago.

        A beat's stays: the last tick of a dead one is what tells that it is silent.
        """
        long_silent = timezone.now() - timedelta(days=1)
        try:
            dead = Q(kind="relay", seen_at__lt=long_silent)
            Process.objects.filter(Q(name=self.name) | dead).delete()
        except Error as error:
            log_events.relay_waits("database", error, 0)

    def _recover(self) -> None:
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + settings.JOBS_RECOVERY_INTERVAL_SECONDS
            self._sweeper.sweep()

    def _wait_for(self, what: str, error: Exception) -> None:
        log_events.relay_waits(what, error, self._pause)
        self._stopping.wait(self._pause)
        self._pause = min(self._pause * 2, PAUSE_SECONDS[1])

    def _forget_connections(self) -> None:
        if self._alarm:
            self._alarm.close()
            self._alarm = None
        connection.close()
