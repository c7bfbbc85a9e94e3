"""A private RabbitMQ node, with ports, a cookie and a port mapper of its own, all on loopback."""

import shutil
import subprocess
from pathlib import Path

from project.services.broker import Broker
from project.services.child import Child, ServiceFailed
from project.services.ports import LOOPBACK, listens
from project.services.programs import epmd_program, rabbitmq_program
from project.services.rabbitmq_node import Node
from project.services.secret import kept_secret

ROLE = "offload"
START_SECONDS = 120
STOP_SECONDS = 60


class RabbitMQ(Broker):
    """A server that we may stop, kill, restart and wipe; it keeps its ports and password."""

    ours = True

    def __init__(self, run: Path) -> None:
        password = kept_secret(run / "rabbitmq.password")
        self.node = Node(run / "rabbitmq", role=ROLE, password=password)
        super().__init__(
            f"amqp://{ROLE}:{password}@{LOOPBACK}:{self.node.port}//",
            f"http://{LOOPBACK}:{self.node.management_port}",
        )
        self.vhosts: set[str] = set()
        self._child = Child(
            "rabbitmq", [rabbitmq_program("rabbitmq-server")], directory=run, env=self.node.env()
        )
        epmd = [epmd_program(), "-port", str(self.node.epmd_port), "-address", LOOPBACK]
        self._epmd = Child("epmd", epmd, directory=run)

    @property
    def pid(self) -> int:
        return self._child.pid

    def spawn(self) -> None:
        """Start the node without waiting for it."""
        self.node.write_configuration()
        if not self._epmd.alive:
            self._epmd.start()
            self._epmd.wait_for(
                lambda: listens(self.node.epmd_port), seconds=10, what="it listened"
            )
        self._child.start()

    def wait_ready(self) -> None:
        """:raises ServiceFailed: if it does not answer."""
        self._child.wait_for(self._answers, seconds=START_SECONDS, what="it took clients")

    def start(self) -> None:
        """Start the node and wait until it takes clients. Idempotent."""
        self.resume()
        if not self._child.alive:
            self.spawn()
        self.wait_ready()

    def stop(self) -> None:
        """Stop the node in an orderly way. Idempotent."""
        self._child.stop(patience_seconds=STOP_SECONDS)

    def close(self) -> None:
        """Stop the node and its port mapper."""
        self.stop()
        self._epmd.stop()

    def kill(self) -> None:
        """End the node with SIGKILL, as a lost machine would."""
        self._child.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Start again with no message, queue or exchange at all; our virtual hosts are there."""
        self.kill()
        shutil.rmtree(self.node.data, ignore_errors=True)
        self.start()
        for name in self.vhosts:
            self.management.create_vhost(name, self.user)

    def pause(self) -> None:
        """Let the node hang until `resume`."""
        self._child.pause()

    def resume(self) -> None:
        if self._child.alive:
            self._child.resume()

    def create_vhost(self, name: str) -> str:
        self.vhosts.add(name)
        return super().create_vhost(name)

    def delete_vhost(self, name: str) -> None:
        self.vhosts.discard(name)
        super().delete_vhost(name)

    def ctl(self, *words: str) -> str:
        """
        Return what `rabbitmqctl` prints, for what the API can't do (raise an alarm, for one).

        :raises ServiceFailed: if it fails.
        """
        done = subprocess.run(  # noqa: S603 - the commands are our own
            [str(rabbitmq_program("rabbitmqctl")), *words],
            env=self.node.env(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServiceFailed(f"rabbitmqctl {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def _answers(self) -> bool:
        return listens(self.port) and self.management.answers()
