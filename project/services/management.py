"""A client of RabbitMQ's management API, as small as what we ask of it."""

import base64
import json
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen


class Management:
    """The management API at `url`; paths are relative to `/api/`."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the decoded answer, None where there is none."""
        data = None if body is None else json.dumps(body).encode()
        address = f"{self.url}/api/{path}"
        request = Request(address, data, self._headers, method=method)  # noqa: S310 - http only
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def answers(self) -> bool:
        try:
            return bool(self.call("GET", "overview"))
        except (URLError, OSError, HTTPException, ValueError):
            return False

    def create_vhost(self, name: str, user: str) -> None:
        """Create a virtual host that `user` may do everything in. Idempotent."""
        self.call("PUT", f"vhosts/{_segment(name)}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.call("PUT", f"permissions/{_segment(name)}/{_segment(user)}", everything)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all its queues and connections. Idempotent."""
        try:
            self.call("DELETE", f"vhosts/{_segment(name)}")
        except HTTPError as error:
            if error.code != 404:
                raise

    def queues(self, vhost: str) -> list[dict[str, Any]]:
        """Return the queues of a virtual host; their counts are up to a second old."""
        return list(self.call("GET", f"queues/{_segment(vhost)}?disable_stats=false") or [])

    def queue(self, vhost: str, name: str) -> dict[str, Any]:
        return dict(self.call("GET", f"queues/{_segment(vhost)}/{_segment(name)}"))

    def connections(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "connections") or [])

    def close_connection(self, name: str) -> None:
        """Cut one client's connection, as a broken network would."""
        self.call("DELETE", f"connections/{_segment(name)}")


def _segment(name: str) -> str:
    return quote(name, safe="")
