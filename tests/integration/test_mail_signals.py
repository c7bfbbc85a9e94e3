"""A stop or a time limit in the middle of a mail's conversation ends it at once, without a word."""

import functools
import signal
import socket
import threading
from collections.abc import Iterator

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from notifications.channels.email.smtp import WholeLines
from tests.mail_server import mail_server
from tests.mails import send_one, use_mail_server

ANSWERS = [b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]
#: How many of the answers are given before the server says nothing any more.
STEPS = {"EHLO": 1, "MAIL": 2, "RCPT": 3, "DATA": 4, "END": 5}


class Stopped(BaseException):
    """As the engine's own, which no `except Exception` catches."""


class Hanging:
    """
    A server that gives so many answers, and listens until nobody is there.

    Its last answer is followed by a signal, once the next command or the mail has come.
    """

    def __init__(self, answers: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heard = b""
        self._answers = ANSWERS[:answers]
        self._asked_by = threading.get_ident()
        self._thread = threading.Thread(target=self._converse)
        self._thread.start()

    def wait_for_the_end(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive(), "The connection is still open."

    def _converse(self) -> None:
        connection, _ = self.listener.accept()
        with self.listener, connection:
            for answer in self._answers:
                connection.sendall(answer)
                self._hear(connection, b"\r\n.\r\n" if answer == ANSWERS[-1] else b"\r\n")
            if self._answers:
                signal.pthread_kill(self._asked_by, signal.SIGUSR1)
            while heard := connection.recv(100_000):
                self.heard += heard

    def _hear(self, connection: socket.socket, end: bytes) -> None:
        heard = connection.recv(100_000)
        while not heard.endswith(end):
            heard += connection.recv(100_000)
        self.heard += heard


@pytest.fixture
def use(settings, monkeypatch):
    """Lets the settings name a mail server, whose silence may last."""
    settings.EMAIL_DEADLINE_SECONDS = 60
    settings.EMAIL_TIMEOUT = 5
    return functools.partial(use_mail_server, settings, monkeypatch)


@pytest.fixture(params=[Stopped, SoftTimeLimitExceeded, KeyboardInterrupt])
def raised_by_signal(request) -> Iterator[type[BaseException]]:
    """Let SIGUSR1 raise the error wherever this thread is."""

    def interrupt(*_: object) -> None:
        raise request.param

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield request.param
    signal.signal(signal.SIGUSR1, before)


class TestSignal:
    @pytest.mark.parametrize("step", STEPS)
    def test_ends_a_conversation_that_hangs_without_a_goodbye(self, use, raised_by_signal, step):
        # Given a server that says nothing any more, from a step on
        server = Hanging(STEPS[step])
        use(f"smtp://127.0.0.1:{server.port}")

        # When a signal comes meanwhile, then its error does
        with pytest.raises(raised_by_signal):
            send_one()

        # And the connection is closed, without a QUIT that would be part of the mail
        server.wait_for_the_end()
        assert b"quit" not in server.heard.lower()

    def test_ends_a_login_that_hangs_too(self, use, raised_by_signal):
        server = Hanging(STEPS["EHLO"])
        use(f"smtp://offload:secret@127.0.0.1:{server.port}")

        with pytest.raises(raised_by_signal):
            send_one()

        server.wait_for_the_end()
        assert b"quit" not in server.heard.lower()

    def test_ends_a_wait_for_the_greeting_too(self, use, raised_by_signal, monkeypatch):
        # Given a signal that comes when the greeting is about to be read
        server = Hanging(0)
        use(f"smtp://127.0.0.1:{server.port}")
        monkeypatch.setattr(WholeLines, "readline", lambda *_: signal.raise_signal(signal.SIGUSR1))

        # When a mail is sent, then the signal's error comes and nothing is said
        with pytest.raises(raised_by_signal):
            send_one()
        server.wait_for_the_end()
        assert server.heard == b""

    def test_leaves_nothing_to_the_next_mail(self, use, tmp_path, raised_by_signal):
        server = Hanging(STEPS["END"])
        use(f"smtp://127.0.0.1:{server.port}")
        with pytest.raises(raised_by_signal):
            send_one()
        server.wait_for_the_end()

        with mail_server(tmp_path) as sound:
            use(sound.url)
            send_one()
            assert len(sound.mails()) == 1
