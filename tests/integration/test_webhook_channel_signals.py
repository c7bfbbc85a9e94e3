"""What a signal raises in the middle of a webhook comes out of it, whatever asyncio does."""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from anyio._backends._asyncio import StreamProtocol
from celery.exceptions import SoftTimeLimitExceeded

from notifications.channels.webhook.running import run
from notifications.channels.webhook.sending import post
from tests.webhook_receiver import WebhookReceiver, webhook_receiver


class Stopped(BaseException):
    """As the engine's own, which no `except Exception` catches."""


ERRORS = [SoftTimeLimitExceeded, Stopped, KeyboardInterrupt, SystemExit]


@pytest.fixture
def raised_by_signal(request) -> Iterator[type[BaseException]]:
    """Let SIGUSR1 raise the error wherever this thread is."""

    def interrupt(*_: object) -> None:
        raise request.param

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield request.param
    signal.signal(signal.SIGUSR1, before)


def to_the_process() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def past_the_loop() -> None:
    """
    Let another thread take the signal, so that it does not end the main thread's wait.

    One that comes a moment before the wait begins does not end it either.
    """
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)


def interrupt_when_asked(
    receiver: WebhookReceiver, interrupt: Callable[[], None]
) -> threading.Thread:
    """Signal this process as soon as the receiver has the request."""

    def wait_and_interrupt() -> None:
        while not receiver.requests:
            if receiver.wait_released(0.01):
                return
        interrupt()

    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    return thread


class TestPost:
    @pytest.mark.timeout(60)  # Or else it could end by the deadline, too late.
    @pytest.mark.parametrize("raised_by_signal", ERRORS, indirect=True)
    @pytest.mark.parametrize("interrupt", [to_the_process, past_the_loop])
    def test_lets_a_signals_error_through(self, settings, raised_by_signal, interrupt):
        # Given a webhook that waits for a receiver that hangs
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.0/8"),)
        settings.NOTIFICATIONS_DELIVERY_SECONDS = 120
        with webhook_receiver(default="hang") as receiver:
            thread = interrupt_when_asked(receiver, interrupt)

            # When a signal comes, then its error does too, long before the deadline
            with pytest.raises(raised_by_signal):
                post(receiver.url, headers={}, body=b"{}")
            thread.join()

            # And the next webhook is sent as if nothing had been
            receiver.default = 200
            assert post(receiver.url, headers={}, body=b"{}").is_success

    @pytest.mark.parametrize("method", ["data_received", "eof_received", "connection_lost"])
    @pytest.mark.parametrize("raised_by_signal", ERRORS, indirect=True)
    def test_lets_it_through_from_within_the_transport(
        self, settings, monkeypatch, raised_by_signal, method
    ):
        # Given a signal that comes while asyncio tells of what the receiver has sent
        usual = getattr(StreamProtocol, method)

        def interrupted(*arguments: object) -> None:
            monkeypatch.setattr(StreamProtocol, method, usual)
            signal.raise_signal(signal.SIGUSR1)
            usual(*arguments)

        monkeypatch.setattr(StreamProtocol, method, interrupted)
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.0/8"),)

        # When a webhook is sent, then the signal's error comes, and no other one
        with (
            webhook_receiver(default="cut") as receiver,
            pytest.raises(raised_by_signal),
        ):
            post(receiver.url, headers={}, body=b"{}")


class TestRun:
    @pytest.mark.parametrize("error", ERRORS)
    def test_lets_through_what_is_raised_in_a_callback(self, error):
        def interrupted() -> None:
            raise error

        async def wait() -> None:
            asyncio.get_running_loop().call_soon(interrupted)
            await asyncio.sleep(120)

        with pytest.raises(error):
            run(wait())

    @pytest.mark.parametrize("error", ERRORS)
    def test_lets_through_what_is_raised_once_the_coroutine_has_ended(self, error):
        def interrupted() -> None:
            raise error

        async def end_and_clean_up():
            try:
                yield "result"
            finally:
                asyncio.get_running_loop().call_soon(interrupted)
                await asyncio.sleep(0.01)

        async def leave_open() -> str:
            kept.append(end_and_clean_up())
            return await anext(kept[0])

        kept: list[Any] = []
        with pytest.raises(error):
            run(leave_open())

    @pytest.mark.parametrize("error", ERRORS)
    def test_lets_through_what_is_raised_in_a_group_of_tasks(self, error, caplog):
        async def interrupted() -> None:
            raise error

        async def wait() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(interrupted())
                group.create_task(asyncio.sleep(120))

        with pytest.raises(error):
            run(wait())

        # And no task is left that would be logged whenever it is collected
        gc.collect()
        assert "never retrieved" not in caplog.text

    def test_returns_what_the_coroutine_does(self):
        assert run(asyncio.sleep(0, "done")) == "done"
