"""Everything that anybody could read of a running system, as texts by the place's name."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import requests
from psycopg import sql

from tests.harness.client import Client
from tests.harness.people import ADMIN, PASSWORD
from tests.harness.processes import Web
from tests.harness.system import System
from tests.mail_server import ReceivedMail

Place = tuple[str, str]

API_LISTS = ("jobs", "notifications", "syncs", "webhook-endpoints", "invitations", "exports")
PROBES = ("/metrics", "/healthz", "/readyz", "/api/v1/openapi.json")
FLOWER_PAGES = ("/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks",
                "/api/task/types", "/api/queues/length", "/metrics")  # fmt: skip
COMMANDS = (("doctor", "--json"), ("dead_letters", "list"))


def logs(system: System) -> Iterator[Place]:
    for process in system.processes:
        yield f"log of {process.name}", process.log_text()


def tables(system: System) -> Iterator[Place]:
    """Every row of every table, its bytes in hexadecimal, as `pg_dump` would write them."""
    names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    for row in system.rows(names):
        name = row["tablename"]
        query = sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(name))
        with psycopg.connect(system.database_url) as connection:
            text = "\n".join(line for (line,) in connection.execute(query))
        yield f"table {name}", text


def admin_pages(system: System, web: Web) -> Iterator[Place]:
    """Each model's list, and the pages of its rows, as the administrator sees them."""
    browser = web.client()
    browser.sign_in(ADMIN, PASSWORD)
    index = browser.get("/admin/").text
    lists = sorted(set(re.findall(r'href="(/admin/[a-z_]+/[a-z_]+/)"', index)))
    assert "/admin/notifications/webhookendpoint/" in lists, index
    yield "admin /admin/", index
    for path in lists:
        page = _read(browser, path)
        yield f"admin {path}", page
        for row in sorted(set(re.findall(rf'href="({path}[^"?/]+/change/)', page))):
            yield f"admin {row}", _read(browser, row)


def api_pages(client: Client) -> Iterator[Place]:
    """Each list of the API, and what each of its rows shows."""
    for name in API_LISTS:
        path = f"/api/v1/{name}"
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        yield f"API {path}", answer.text
        found = answer.json()
        for row in found if isinstance(found, list) else found["items"]:
            yield f"API {path}/{row['id']}", _read(client, f"{path}/{row['id']}")


def probes(web: Web) -> Iterator[Place]:
    for path in PROBES:
        yield f"GET {path}", _read(web.client(), path)


def flower_pages(flower: Client) -> Iterator[Place]:
    for path in FLOWER_PAGES:
        yield f"Flower {path}", _read(flower, path)
    for task_id in flower.get("/api/tasks").json():
        for path in (f"/task/{task_id}", f"/api/task/info/{task_id}"):
            yield f"Flower {path}", _read(flower, path)


def commands(system: System) -> Iterator[Place]:
    for words in COMMANDS:
        done = system.run(*words, check=False)
        yield f"manage.py {' '.join(words)}", done.stdout + done.stderr


def mails(received: Iterable[ReceivedMail]) -> Iterator[Place]:
    """Each mail as it came and as people read it, by whom it went to."""
    for mail in received:
        bodies = [mail.body(kind) for kind in ("plain", "html")]
        text = "\n".join([mail.raw.decode(), mail.subject, *bodies])
        yield f"mail to {mail.recipients[0]}", text


def messages(system: System, *queues: str) -> Iterator[Place]:
    """What the broker holds: the bodies and the headers of the messages."""
    for queue in queues:
        for message in system.queues.peek(queue):
            yield f"message in {queue}", f"{message.body!s} {message.properties}"


def answer_of(client: Client, method: str, path: str, **options: Any) -> tuple[int, Place]:
    """Send a request that goes wrong, and return its status and what its sender gets to see."""
    answer: requests.Response = client.request(method, path, **options)
    text = f"{dict(answer.headers)}\n{answer.text}"
    return answer.status_code, (f"answer {answer.status_code} to {method} {path[:60]}", text)


def _read(client: Client, path: str) -> str:
    answer = client.get(path)
    # 503: the probe of a system that has dead letters, or no beat, says so.
    assert answer.status_code in (200, 503), (path, answer.text)
    return answer.text
