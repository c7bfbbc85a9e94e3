"""A real SMTP server in a process of its own: it accepts, refuses or breaks as a test says."""

import email
import itertools
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from email import policy
from email.message import EmailMessage
from pathlib import Path

from tests.harness.processes import Process
from tests.harness.waiting import wait_for
from tests.mail_server_child import LOOPBACK, Behaviour, Folder, Options

READY_SECONDS = 60

ACCEPT = Behaviour()
#: One byte per second, of every reply.
DRIP = Behaviour("drip")
#: The mail is stored, and its sender never hears so.
KEEP_AND_CUT = Behaviour("keep_and_cut", "END")


def refuse(step: str, code: int, words: str = "5.0.0 Told to refuse") -> Behaviour:
    """Answer a step with a code. `DATA` is the command, `END` the end of the mail."""
    return Behaviour("refuse", step, code, words)


def stall_at(step: str) -> Behaviour:
    """Say nothing any more, from a step on; the connection stays open."""
    return Behaviour("stall", step)


def cut_at(step: str) -> Behaviour:
    """Cut the connection instead of an answer to a step."""
    return Behaviour("cut", step)


@dataclass(frozen=True)
class ReceivedMail:
    """A mail that the server has stored."""

    sender: str  #: Of the envelope.
    recipients: list[str]  #: Of the envelope.
    raw: bytes  #: As it came over the wire, without SMTP's transparent dots.

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=policy.default)

    @property
    def subject(self) -> str:
        """Return the subject as people read it: a long one is folded at its very beginning."""
        return str(self.message["Subject"]).lstrip()

    def body(self, kind: str) -> str:
        """Return the body of a kind, `plain` or `html`, decoded and with plain line ends."""
        part = self.message.get_body((kind,))
        assert part is not None, f"The mail has no part of the kind {kind}."
        return str(part.get_content()).replace("\r\n", "\n")


class MailServer(Process):
    """The server, and what it has seen. `pause()` and `resume()` reach the whole process."""

    def __init__(self, directory: Path, options: Options) -> None:
        self._folder = Folder(directory)
        self._login = options.login
        self._numbers = itertools.count()
        argv = [sys.executable, "-m", "tests.mail_server_child", directory]
        argv += [json.dumps(asdict(options))]
        super().__init__("mail_server", argv, directory=directory, env=os.environ)

    @property
    def port(self) -> int:
        return int(self._folder.port.read_text())

    @property
    def url(self) -> str:
        """Return its address as EMAIL_URL takes it, with the login that it asks for."""
        login = f"{self._login}@" if self._login else ""
        return f"smtp://{login}{LOOPBACK}:{self.port}"

    def next(self, *behaviours: Behaviour) -> None:
        """
        Say what to do with the next mails, in this order; after them all are accepted.

        A connection takes the oldest one when it comes, and another with each further mail.
        """
        for behaviour in behaviours:
            self._folder.leave(next(self._numbers), behaviour)

    def mails(self) -> list[ReceivedMail]:
        """Return what is stored, oldest first."""
        return [
            ReceivedMail(**json.loads(path.read_text()), raw=path.with_suffix(".eml").read_bytes())
            for path in sorted(self._folder.mails.glob("*.json"))
        ]

    def wait_for_mails(self, count: int, *, seconds: float = 60) -> list[ReceivedMail]:
        """Wait until there are so many mails, and return them."""
        wait_for(lambda: len(self.mails()) >= count, seconds, f"{count} mails came")
        return self.mails()

    def connections(self) -> int:
        """Return how many connections have come so far."""
        path = self._folder.connections
        return len(path.read_text().splitlines()) if path.exists() else 0

    def names(self) -> list[str]:
        """Return what the clients have called themselves."""
        path = self._folder.names
        return path.read_text().splitlines() if path.exists() else []

    def waiting(self) -> int:
        """Return how many behaviours no mail has met yet."""
        return len(list(self._folder.next.glob("*.json")))


@contextmanager
def mail_server(
    directory: Path, *, login: str = "", certificate: Path | None = None, tls_at_once: bool = False
) -> Iterator[MailServer]:
    """
    Run a mail server on a free port of loopback, with its files in a folder of its own.

    With a `login` ("user:password") it takes mail from nobody else. With a certificate (PEM,
    with its key) it offers STARTTLS, or speaks TLS from the first byte.
    """
    options = Options(login, str(certificate or ""), tls_at_once)
    server = MailServer(directory, options)
    with server:
        server.start()
        server.wait_for(server._folder.port.exists, seconds=READY_SECONDS, what="it listened")
        yield server
