"""A PostgreSQL server that we may create databases on, whoever runs it."""

from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql


class DatabaseServer:
    """The server behind a URL. `ours` says whether we may stop it."""

    ours = False

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str | None = None) -> str:
        """Return the URL of a database of this server, without a name the one it came with."""
        parts = urlsplit(self._url)
        return urlunsplit(parts._replace(path=f"/{database}" if database else parts.path))

    def execute(self, statement: sql.Composed) -> None:
        """Run one statement outside any transaction, as CREATE DATABASE needs it."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database, empty or as a copy of another, and return its URL."""
        source = sql.Identifier(template or "template1")
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), source))
        return self.url(name)

    def has_database(self, name: str) -> bool:
        with psycopg.connect(self.url()) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            return found.fetchone() is not None

    def drop_database(self, name: str) -> None:
        """Drop a database, cutting whoever is still connected. Idempotent."""
        self.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
