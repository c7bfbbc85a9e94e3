"""Somebody who uses the product over HTTP: cookies, one form, JSON."""

import json
import re
import urllib.request
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

TIMEOUT_SECONDS = 30
FORM_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Refused(Exception):
    """The product answered with something else than was asked for."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Person:
    """Signs in as a browser does, then speaks to the API with the same cookie."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # The product is on this machine.
            urllib.request.HTTPCookieProcessor(self._cookies),
        )

    def sign_in(self, email: str, password: str) -> None:
        """:raises Refused: if the page takes neither the address nor the password."""
        found = FORM_TOKEN.search(self.get("/sign-in").body.decode())
        fields = {"username": email, "password": password}
        fields["csrfmiddlewaretoken"] = found[1] if found else ""
        answer = self._ask("/sign-in", urlencode(fields).encode())
        if answer.status != 200 or "sessionid" not in self._cookie_values():
            raise Refused(f"{email} could not sign in: {answer.status}.")

    def get(self, path: str) -> Answer:
        return self._ask(path)

    def post(self, path: str, document: dict[str, Any], *, key: str = "") -> Answer:
        """Send a document; `key` is its Idempotency-Key."""
        headers = {
            "Content-Type": "application/json",
            "X-CSRFToken": self._cookie_values().get("csrftoken", ""),
        }
        if key:
            headers["Idempotency-Key"] = key
        return self._ask(path, json.dumps(document).encode(), headers)

    def _ask(
        self, path: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        request = urllib.request.Request(self._url + path, data, headers or {})  # noqa: S310 - http
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return Answer(response.status, response.read())
        except HTTPError as refusal:
            return Answer(refusal.code, refusal.read())

    def _cookie_values(self) -> dict[str, str]:
        return {cookie.name: cookie.value or "" for cookie in self._cookies}
