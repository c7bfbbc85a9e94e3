"""Django's SMTP backend, with a deadline for the whole conversation."""

import contextlib
import smtplib
import socket
from collections.abc import Iterator
from typing import Any, BinaryIO

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends import smtp

from notifications.channels.email.connecting import OutOfReach, connect
from notifications.channels.email.deadline import Deadline, DeadlineOver
from notifications.channels.email.sender import sender_domain

#: An answer of the server: no cut of ours, even if it came at the last moment.
_ANSWERS = (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)


class WholeLines:
    """What a server says, line by line; half a line before a broken connection says nothing."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def readline(self, limit: int = -1) -> bytes:
        line = self._source.readline(limit)
        return line if line.endswith(b"\n") or len(line) == limit else b""

    def close(self) -> None:
        self._source.close()


class Conversation(smtplib.SMTP):
    """A conversation that ends with its deadline, whatever the server does."""

    def __init__(self, *args: Any, deadline: Deadline, **options: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **options)

    def connect(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        try:
            return super().connect(*args, **options)
        except BaseException:
            self.close()
            raise

    def _get_socket(self, host: str, port: int, timeout: object) -> socket.socket:
        seconds = timeout if isinstance(timeout, int | float) else None
        connection = connect(host, port, timeout_seconds=seconds, deadline=self._deadline)
        try:
            self._deadline.cut(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def getreply(self) -> tuple[int, bytes]:
        # smtplib takes the "55" of a reply that was cut for a code of its own.
        if self.file is None and self.sock is not None:
            self.file = WholeLines(self.sock.makefile("rb"))
        return super().getreply()


class EncryptedConversation(smtplib.SMTP_SSL, Conversation):
    """The same in TLS from its first byte; the handshake is under the deadline too."""

    def __init__(self, *args: Any, deadline: Deadline, **options: Any) -> None:
        self._deadline = deadline
        smtplib.SMTP_SSL.__init__(self, *args, **options)


class EmailBackend(smtp.EmailBackend):
    """
    Sends mail by SMTP, from the server's name to QUIT within EMAIL_DEADLINE_SECONDS.

    EMAIL_TIMEOUT is for each read: a server that sends one byte now and then would never
    meet it. Raises nothing once the server has accepted the last mail, or it would be sent again.
    """

    _partial_connection: smtplib.SMTP | None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = Deadline(settings.EMAIL_DEADLINE_SECONDS)

    def open(self) -> bool | None:
        """
        Connect, encrypt and log in, unless that is done.

        :raises DeadlineOver: if the deadline was over first.
        :raises OutOfReach: if there is no way to the server.
        """
        if self.connection is not None:
            return False
        self._deadline = Deadline(settings.EMAIL_DEADLINE_SECONDS)
        try:
            with self._explained():
                self.connection = self._begin()
        except OSError:
            if not self.fail_silently:
                raise
            return None
        finally:
            if self.connection is None:
                self._abandon()
        return True

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._abandon()

    def _begin(self) -> smtplib.SMTP:
        """
        Return a conversation in which mails may be sent.

        In place of Django's own `open`, which asks name servers for this machine's name: that
        knows no deadline, and EHLO takes any domain of ours.
        """
        kind = EncryptedConversation if self.use_ssl else Conversation
        trust = {"context": self.ssl_context} if self.use_ssl else {}
        try:
            self._partial_connection = connection = kind(
                self.host,
                self.port,
                local_hostname=sender_domain(),
                timeout=self.timeout,
                deadline=self._deadline,
                **trust,
            )
            if self.use_tls and not self.use_ssl:
                connection.starttls(context=self.ssl_context)
            if self.username and self.password:
                connection.login(self.username, self.password)
        except (smtplib.SMTPException, DeadlineOver):
            raise
        except OSError as error:
            raise OutOfReach(str(error)) from error
        self._partial_connection = None
        return connection

    def _send(self, email_message: EmailMessage) -> bool:
        try:
            with self._explained():
                return bool(super()._send(email_message))  # type: ignore[misc]
        except smtplib.SMTPException:  # The server's answer: the conversation can go on, or end.
            raise
        except BaseException:
            self._break_off()
            raise

    def _break_off(self) -> None:
        """
        Leave without QUIT.

        In the middle of a mail that would be part of it, and in the middle of a command wait for
        an answer once more: for EMAIL_TIMEOUT, though whoever stops us may not.
        """
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        self._abandon()

    def _close_connection(self, connection: smtplib.SMTP) -> None:
        """Say goodbye. What becomes of that says nothing about the mails that were accepted."""
        try:
            with contextlib.suppress(OSError):
                connection.quit()
        finally:
            connection.close()

    def _abandon(self) -> None:
        """Leave nothing open behind a conversation, also one that never came to its beginning."""
        if self._partial_connection is not None:
            self._partial_connection.close()
            self._partial_connection = None
        self._deadline.cancel()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """
        Say of a connection that broke once its time was over that this was why.

        :raises DeadlineOver: in place of the error that came of the cut.
        """
        try:
            yield
        except OSError as error:
            deadline = self._deadline
            if not deadline.over or isinstance(error, _ANSWERS):
                raise
            raise DeadlineOver(deadline.seconds) from error
