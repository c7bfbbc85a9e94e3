"""A RabbitMQ server that we may create virtual hosts on, whoever runs it."""

from urllib.parse import quote, unquote, urlsplit

from project.services.management import Management


class Broker:
    """The server behind an AMQP URL. `ours` says whether we may stop it."""

    ours = False

    def __init__(self, url: str, management_url: str | None = None) -> None:
        parts = urlsplit(url)
        self.scheme = parts.scheme
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 5672
        self.user = unquote(parts.username or "guest")
        self.password = unquote(parts.password or "guest")
        #: RabbitMQ's own convention: the API listens 10,000 above the broker.
        self.management_url = management_url or f"http://{self.host}:{self.port + 10_000}"
        self.management = Management(self.management_url, self.user, self.password)

    def url(self, vhost: str = "/") -> str:
        """Return the URL of a virtual host, user and password included."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"{self.scheme}://{user}:{password}@{self.host}:{self.port}/{quote(vhost, safe='')}"

    def create_vhost(self, name: str) -> str:
        """Create a virtual host of our own and return its URL. Idempotent."""
        self.management.create_vhost(name, self.user)
        return self.url(name)

    def delete_vhost(self, name: str) -> None:
        self.management.delete_vhost(name)
