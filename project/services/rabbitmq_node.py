"""Where one RabbitMQ node lives: its directories, ports, name, configuration and environment."""

import os
from pathlib import Path

from project.services.ports import LOOPBACK, free_port

CONFIGURATION = """\
listeners.tcp.1 = {address}:{port}
management.tcp.ip = {address}
management.tcp.port = {management_port}
default_user = {role}
default_pass = {password}
default_user_tags.administrator = true
loopback_users.{role} = true
collect_statistics_interval = 1000
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 64000000
log.file.level = warning
"""


class Node:
    """A node named after its run, so that its data is found again when it starts once more."""

    def __init__(self, home: Path, *, role: str, password: str) -> None:
        self.home = home
        self.data = home / "data"
        self.name = f"offload-{home.parent.name}@localhost"
        self.port = free_port()
        self.management_port = free_port()
        self.distribution_port = free_port()
        self.epmd_port = free_port()
        self.role = role
        self.password = password

    def write_configuration(self) -> None:
        """Write the files that the node reads at its start. Idempotent."""
        for place in (self.home, self.data):
            place.mkdir(mode=0o700, exist_ok=True)
        values = {**vars(self), "address": LOOPBACK}
        (self.home / "rabbitmq.conf").write_text(CONFIGURATION.format_map(values))
        (self.home / "enabled_plugins").write_text("[rabbitmq_management].\n")
        for name in ("advanced.config", "environment.conf"):  # Else the system's would be read.
            (self.home / name).write_text("[].\n" if name == "advanced.config" else "")

    def env(self) -> dict[str, str]:
        """Return the environment of the node and of its tools; the caller's own RABBITMQ_* go."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_")) and name != "NOTIFY_SOCKET"
        }
        return inherited | self._locations() | self._network()

    def _locations(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),  # Holds the node's cookie.
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "environment.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.home / "generated"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_PID_FILE": str(self.home / "node.pid"),
        }

    def _network(self) -> dict[str, str]:
        loopback = LOOPBACK.replace(".", ",")
        return {
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"+S 2:2 -start_epmd false -kernel inet_dist_use_interface {{{loopback}}}"
            ),
            # Makes the script become the node instead of watching over it: one pid, ours.
            "detached": "true",
        }
