"""How the mail server is found and reached."""

import socket
import threading

import pytest

from notifications.channels.email.connecting import connect
from notifications.channels.email.deadline import Deadline, DeadlineOver


class TestConnect:
    def test_goes_on_to_the_next_address_of_a_name(self, monkeypatch):
        with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            answers = [answer(deaf.getsockname()), answer(listening.getsockname())]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)

            with connect("mail.test", 25, timeout_seconds=60, deadline=Deadline(60)) as connection:
                assert connection.getpeername() == listening.getsockname()
                assert 0 < (connection.gettimeout() or 0) <= 60

    def test_does_not_wait_for_a_resolver_that_never_answers(self, monkeypatch):
        released = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(120) and [])

        with pytest.raises(DeadlineOver, match=r"^The mail server took over 0.2 s in all.$"):
            connect("mail.test", 25, timeout_seconds=60, deadline=Deadline(0.2))
        released.set()

    def test_says_that_a_name_has_no_address(self, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])

        with pytest.raises(OSError, match="mail.test has no address"):
            connect("mail.test", 25, timeout_seconds=60, deadline=Deadline(60))


class TestDeadline:
    def test_shuts_a_connection_down_when_it_is_over(self):
        near, far = socket.socketpair()
        with near, far:
            Deadline(0.1).cut(near)

            assert near.recv(1) == b""

    def test_lets_go_of_a_connection_once_it_is_cancelled(self):
        near, far = socket.socketpair()
        with near, far:
            deadline = Deadline(60)
            deadline.cut(near)
            deadline.cancel()
            deadline.cancel()

            near.close()
            assert far.recv(1) == b""  # No duplicate holds the connection open.


def answer(address):
    return socket.AF_INET, socket.SOCK_STREAM, 0, "", address
