"""The faults that a script may hold, and how each strikes and heals."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from project.services import Postgres, RabbitMQ
from tests.chaos.product import Product

PROCESSES = ("web", "relay", "worker", "exports", "beat")


@dataclass(frozen=True)
class Fault:
    """One fault: what, to whom, for how long."""

    kind: str
    target: str = ""
    seconds: float = 0

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.kind} {self.target}{lasting}".replace("  ", " ")

    def strike(self, product: Product) -> None:
        """Strike, and heal what does not heal by itself."""
        STRIKES[self.kind](product, self)


def script(seed: int, count: int) -> list[Fault]:
    """Return so many faults, the same for the same seed: every kind before one comes again."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += chance.sample(sorted(STRIKES), len(STRIKES))
    return [_fault(kind, chance) for kind in kinds[:count]]


def _fault(kind: str, chance: random.Random) -> Fault:
    match kind:
        case "kill group":
            return Fault(kind, chance.choice(PROCESSES))
        case "kill child":
            return Fault(kind, chance.choice(("worker", "exports", "web")))
        case "stop":
            return Fault(kind, chance.choice(PROCESSES), chance.choice((2, 5, 12)))
        case "stop child":
            return Fault(kind, chance.choice(("worker", "exports")), chance.choice((2, 12)))
        case "cut" | "swallow":
            target = chance.choice(("database", "broker"))
            return Fault(kind, target, 0 if kind == "cut" else chance.choice((2, 6)))
        case "purge":
            return Fault(kind, "exports")
        case "memory alarm":
            return Fault(kind, "broker", chance.choice((3, 8)))
    return Fault(kind)


def _kill_group(product: Product, fault: Fault) -> None:
    product.living[fault.target].kill()


def _kill_child(product: Product, fault: Fault) -> None:
    children = product.living[fault.target].children()
    if children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(children[0], signal.SIGKILL)


def _stop(product: Product, fault: Fault) -> None:
    process = product.living[fault.target]
    process.pause()
    time.sleep(fault.seconds)
    process.resume()


def _stop_child(product: Product, fault: Fault) -> None:
    children = product.living[fault.target].children()
    with contextlib.suppress(ProcessLookupError):
        for signum in (signal.SIGSTOP, signal.SIGCONT):
            for pid in children[:1]:
                os.kill(pid, signum)
            time.sleep(fault.seconds if signum == signal.SIGSTOP else 0)


def _stop_postgres(product: Product, fault: Fault) -> None:
    postgres = product.system.postgres
    assert isinstance(postgres, Postgres)
    postgres.stop(immediate=True)
    time.sleep(2)
    postgres.start()


def _kill_rabbitmq(product: Product, fault: Fault) -> None:
    rabbitmq = product.system.rabbitmq
    assert isinstance(rabbitmq, RabbitMQ)
    rabbitmq.kill()
    rabbitmq.start()


def _cut(product: Product, fault: Fault) -> None:
    getattr(product, fault.target).cut()


def _swallow(product: Product, fault: Fault) -> None:
    proxy = getattr(product, fault.target)
    proxy.swallow()
    time.sleep(fault.seconds)
    proxy.cut()
    proxy.pass_on()


def _raise_alarm(product: Product, fault: Fault) -> None:
    rabbitmq = product.system.rabbitmq
    assert isinstance(rabbitmq, RabbitMQ)
    rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1")
    time.sleep(fault.seconds)
    rabbitmq.ctl("set_vm_memory_high_watermark", "0.4")


def _purge(product: Product, fault: Fault) -> None:
    product.system.queues.purge(fault.target)


STRIKES: dict[str, Callable[[Product, Fault], None]] = {
    "kill group": _kill_group,
    "kill child": _kill_child,
    "stop": _stop,
    "stop child": _stop_child,
    "stop postgres": _stop_postgres,
    "kill rabbitmq": _kill_rabbitmq,
    "cut": _cut,
    "swallow": _swallow,
    "memory alarm": _raise_alarm,
    "purge": _purge,
}
