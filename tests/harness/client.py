"""An HTTP client for a running web process: with a token, or signed in as a person."""

import re
from typing import Any

import requests

TIMEOUT_SECONDS = 30
FORM_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Client(requests.Session):
    """A session whose paths are relative to the web process; it follows no redirect unasked."""

    def __init__(self, url: str, token: str | None = None) -> None:
        super().__init__()
        self.url = url
        self.trust_env = False  # No proxy of the developer's comes between.
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        options.setdefault("timeout", TIMEOUT_SECONDS)
        options.setdefault("allow_redirects", False)
        if csrf := self.cookies.get("csrftoken"):
            self.headers["X-CSRFToken"] = csrf
        address = url if url.startswith("http") else self.url + url
        return super().request(method, address, *args, **options)

    def sign_in(self, email: str, password: str, *, page: str = "/sign-in") -> requests.Response:
        """Fill in the sign-in page as a browser would."""
        form = self.get(page).text
        found = FORM_TOKEN.search(form)
        assert found, f"{page} has no form:\n{form[:500]}"
        fields = {"csrfmiddlewaretoken": found[1], "username": email, "password": password}
        answer = self.post(page, data=fields)
        assert answer.status_code == 302, f"Sign-in refused:\n{answer.text[:2000]}"
        return answer
