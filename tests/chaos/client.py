"""A client that asks for exports over HTTP until each is accepted, whatever happens meanwhile."""

import threading
import time
from dataclasses import dataclass, field

import requests

from tests.chaos.product import Product
from tests.harness.client import Client

THREADS = 6
TIMEOUT_SECONDS = 5
AGAIN_SECONDS = 0.2


@dataclass
class Submitter:
    """Submits `count` exports, each with a key of its own, spread over `seconds`."""

    product: Product
    count: int
    seconds: float
    accepted: dict[str, str] = field(default_factory=dict)  #: Export id by key.
    refused: list[str] = field(default_factory=list)  #: Answers that no fault explains.

    def start(self) -> None:
        self._began = time.monotonic()
        self._threads = [
            threading.Thread(target=self._submit_share, args=(number,), daemon=True)
            for number in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until all are accepted, or the time is over."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _submit_share(self, number: int) -> None:
        for index in range(number, self.count, THREADS):
            due = self._began + index / self.count * self.seconds
            time.sleep(max(0.0, due - time.monotonic()))
            self._submit(index)

    def _submit(self, index: int) -> None:
        """Ask again with the same key while there is no answer, or the answer is "not now"."""
        people = self.product.system.people
        tenant = people.acme if index % 2 else people.globex
        key = f"chaos-{index}"
        body = {"dataset": "items", "format": "csv" if index % 3 else "json"}
        while True:
            try:
                with Client(self.product.url, tenant.token) as client:
                    answer = client.post(
                        "/api/v1/exports",
                        json=body,
                        headers={"Idempotency-Key": key},
                        timeout=TIMEOUT_SECONDS,
                    )
                if answer.status_code == requests.codes.accepted:
                    self.accepted[key] = answer.json()["export_id"]
                    return
                if answer.status_code < 500 and answer.status_code != requests.codes.conflict:
                    self.refused.append(f"{key}: {answer.status_code} {answer.text[:200]}")
                    return
            except (requests.RequestException, ValueError):
                pass  # Killed, cut or hung: the outcome is unknown, and the key finds it out.
            time.sleep(AGAIN_SECONDS)
