"""The process of `tests.mail_server`: an SMTP server that does what its folder says."""

import asyncio
import functools
import json
import os
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

LOOPBACK = "127.0.0.1"
FOR_EVER_SECONDS = 86_400
DRIP_SECONDS = 1.0

Command = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Behaviour:
    """What the server does with one mail: `kind` at `step`, the rest as usual."""

    kind: str = "accept"  #: Or refuse, stall, cut, keep_and_cut, drip.
    step: str = ""  #: greeting, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, END (of it) or QUIT.
    code: int = 0
    words: str = ""

    @property
    def refusal(self) -> str:
        *first, last = self.words.split("\n")
        return "".join(f"{self.code}-{line}\r\n" for line in first) + f"{self.code} {last}"


@dataclass(frozen=True)
class Options:
    """What holds for every connection."""

    login: str = ""  #: `user:password` that is asked for before any mail; none if empty.
    certificate: str = ""  #: A PEM file with its key: TLS is possible, or needed at once.
    tls_at_once: bool = False


class Folder:
    """Where the test and the server meet: `next/` to be done, `mails/` accepted, files beside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.next = path / "next"
        self.mails = path / "mails"
        self.port = path / "port"
        self.connections = path / "connections"
        self.names = path / "names"
        for each in (self.next, self.mails):
            each.mkdir(parents=True, exist_ok=True)

    def take(self) -> Behaviour:
        """Return the oldest behaviour and forget it; accept the mail if there is none."""
        waiting = sorted(self.next.glob("*.json"))
        if not waiting:
            return Behaviour()
        taken = Behaviour(**json.loads(waiting[0].read_text()))
        waiting[0].unlink()
        return taken

    def leave(self, number: int, behaviour: Behaviour) -> None:
        write_whole(self.next / f"{number:06}.json", json.dumps(asdict(behaviour)).encode())

    def keep(self, envelope: Envelope) -> None:
        """Store a mail whole; its envelope comes last, and says that it is there."""
        place = self.mails / f"{len(list(self.mails.glob('*.eml'))):06}"
        write_whole(place.with_suffix(".eml"), bytes(envelope.original_content or b""))
        said = {"sender": envelope.mail_from, "recipients": envelope.rcpt_tos}
        write_whole(place.with_suffix(".json"), json.dumps(said).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that nobody ever sees half of."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    draft.rename(path)


class Handler:
    """Hands the end of a mail back to the conversation that it came in."""

    async def handle_DATA(  # noqa: N802 - the library's name
        self, server: "Conversation", _session: Session, envelope: Envelope
    ) -> str:
        return await server.end_mail(envelope)


class Conversation(SMTP):
    """One connection. Each of its mails meets a behaviour; the first one from the greeting on."""

    transport: asyncio.Transport

    def __init__(self, folder: Folder, options: Options, context: ssl.SSLContext | None) -> None:
        self.folder = folder
        self.behaviour = Behaviour()
        self.is_known = False
        self.has_begun_a_mail = False
        self.login = options.login
        super().__init__(
            Handler(),
            hostname="mail.test",
            ident="ESMTP",
            timeout=FOR_EVER_SECONDS,
            loop=asyncio.get_running_loop(),
            tls_context=None if options.tls_at_once else context,
            auth_required=bool(options.login),
            auth_require_tls=False,
            authenticator=self.check_login,
        )
        for step, usual in self._smtp_methods.items():
            self._smtp_methods[step] = functools.partial(self.meet, step, usual)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self.is_known:  # Else TLS has begun, in the same conversation.
            self.is_known = True
            self.behaviour = self.folder.take()
            with self.folder.connections.open("a") as connections:
                connections.write(f"{self.behaviour}\n")
        super().connection_made(transport)

    async def _handle_client(self) -> None:
        if await self.acts_at("greeting"):
            self.transport.close()
        else:
            await super()._handle_client()

    async def push(self, status: str | bytes) -> None:
        reply = status if isinstance(status, bytes) else status.encode()
        if self.behaviour.kind != "drip":
            await super().push(reply)
            return
        for byte in reply + b"\r\n":
            self._writer.write(bytes([byte]))
            await self._writer.drain()
            await asyncio.sleep(DRIP_SECONDS)

    async def meet(self, step: str, usual: Command, argument: str) -> None:
        """Answer a command, as usual or as told."""
        if step == "EHLO":
            with self.folder.names.open("a") as names:
                names.write(f"{argument}\n")
        if step == "MAIL":
            if self.has_begun_a_mail:
                self.behaviour = self.folder.take()
            self.has_begun_a_mail = True
        if not await self.acts_at(step):
            await usual(argument)

    async def acts_at(self, step: str) -> bool:
        """Do what is to be done at a step of the conversation; tell whether it is answered."""
        if self.behaviour.step != step:
            return False
        if self.behaviour.kind == "refuse":
            await self.push(self.behaviour.refusal)
            return True
        if self.behaviour.kind in ("cut", "keep_and_cut"):
            self.transport.abort()
        await asyncio.sleep(FOR_EVER_SECONDS)  # Cancelled when the connection is lost.
        return True

    async def end_mail(self, envelope: Envelope) -> str:
        """Return the answer to a whole mail; it is stored if that is yes, or nobody hears it."""
        if self.behaviour.step == "END" and self.behaviour.kind == "refuse":
            return self.behaviour.refusal
        if self.behaviour.kind == "keep_and_cut":
            self.folder.keep(envelope)
        await self.acts_at("END")
        self.folder.keep(envelope)
        return "250 2.0.0 Kept"

    def check_login(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: Any
    ) -> AuthResult:
        pair = f"{given.login.decode()}:{given.password.decode()}"
        return AuthResult(success=pair == self.login, handled=False)


async def serve(folder: Folder, options: Options) -> None:
    """Serve until the test that started this process has gone."""
    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate)
    server = await asyncio.get_running_loop().create_server(
        lambda: Conversation(folder, options, context),
        LOOPBACK,
        0,
        ssl=context if options.tls_at_once else None,
    )
    write_whole(folder.port, str(server.sockets[0].getsockname()[1]).encode())
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(serve(Folder(Path(sys.argv[1])), Options(**json.loads(sys.argv[2]))))
