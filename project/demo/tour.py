"""The tour itself: what a person does with the product, step by step."""

import csv
import hashlib
import io
import json
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from project.demo.news import be_told, wait_for_mail
from project.demo.person import Person, Refused
from project.demo.product import Product
from project.demo.screen import Screen

ITEMS = 20_000
ASKING = "ingrid@nordlicht.example"
NEIGHBOUR = "amara@bramblefinch.example"
EXPORT_SECONDS = 120  #: A safety net; an export of the tour takes a second or two.
LOOK_EVERY_SECONDS = 0.05
SHOWN_LINES = 3


def take_tour(screen: Screen, product: Product) -> None:
    """
    Show everything once.

    :raises Refused: if the product answers otherwise than it promises.
    """
    prepare(screen, product)
    ingrid = visit(screen, product)
    export(screen, product, ingrid, "csv")
    export(screen, product, ingrid, "json")
    ask_twice(screen, ingrid)
    be_told(screen, product, ingrid)
    knock_at_the_wall(screen, product, ingrid)
    let_one_die(screen, product)
    try_the_cron_table(screen, product)
    pull_the_plug(screen, product, ingrid)
    leave(screen, product)


def prepare(screen: Screen, product: Product) -> None:
    screen.chapter("A database, two tenants, twenty thousand items")
    with screen.step("migrated:") as words:
        words.append(f"{product.migrate()} migrations on SQLite")
    with screen.step("seeded:") as words:
        tenants = product.seed(ITEMS)["tenants"]
        words.append(", ".join(f"{each['name']} {each['items']:,} items" for each in tenants))


def visit(screen: Screen, product: Product) -> Person:
    screen.chapter("One process: web, relay, worker and scheduler")
    with screen.step("started:") as words:
        words.append(f"process {product.start()} at {product.url}")
    with screen.step("signed in:") as words:
        person = product.visitor(ASKING)
        words.append(f"{ASKING}, owner of Nordlicht Outdoor")
    return person


def export(screen: Screen, product: Product, person: Person, format_name: str) -> None:
    screen.chapter(f"An export of all items as {format_name.upper()}")
    accepted = request(screen, person, format_name)
    done = follow(screen, person, accepted["export_id"])
    show_way(screen, person, accepted["job_id"])
    with screen.step("downloaded:") as words:
        path, data = download(product, person, done)
        words.append(f"{len(data):,} bytes to {path}")
    verify(screen, done, data)
    lines = [line for line in data.decode().splitlines() if line]
    for line in lines[:SHOWN_LINES]:
        screen.quote(line)


def request(screen: Screen, person: Person, format_name: str, key: str = "") -> dict[str, Any]:
    with screen.step("requested:") as words:
        document = {"dataset": "items", "format": format_name}
        answer = person.post("/api/v1/exports", document, key=key)
        accepted: dict[str, Any] = expect(answer.status == 202, answer.json())
        words.append(f"202, export {accepted['export_id']}")
    return accepted


def follow(screen: Screen, person: Person, export_id: str) -> dict[str, Any]:
    """Look at the export until it has ended; return it."""
    deadline = time.monotonic() + EXPORT_SECONDS
    with screen.bar("exporting") as bar:
        while True:
            export: dict[str, Any] = person.get(f"/api/v1/exports/{export_id}").json()
            bar.show(export["progress"]["rows"], export["progress"]["total"])
            if export["status"] == "completed":
                return export
            live = export["status"] in ("queued", "processing") and time.monotonic() < deadline
            expect(live, export)
            time.sleep(LOOK_EVERY_SECONDS)


def show_way(screen: Screen, person: Person, job_id: str) -> None:
    """Tell when the job made each of its moves, counted from the request."""
    job = person.get(f"/api/v1/jobs/{job_id}").json()
    stored = datetime.fromisoformat(job["created_at"])
    for name, what in (
        ("queued_at", "relayed: the job went from the ledger to the broker"),
        ("started_at", "claimed: a worker took the message and began"),
        ("settled_at", f"settled: {job['state']}, attempts {job['attempts']}"),
    ):
        screen.result((datetime.fromisoformat(job[name]) - stored).total_seconds(), what)


def download(product: Product, person: Person, export: dict[str, Any]) -> tuple[Path, bytes]:
    answer = person.get(f"/api/v1/exports/{export['id']}/download")
    expect(answer.status == 200, answer.status)
    path = product.directory / f"{export['dataset']}.{export['format']}"
    path.write_bytes(answer.body)
    return path, answer.body


def verify(screen: Screen, export: dict[str, Any], data: bytes) -> None:
    """Compare the file with what the export says of it."""
    with screen.step("verified:") as words:
        digest = hashlib.sha256(data).hexdigest()
        rows = count_rows(export["format"], data)
        expect(digest == export["sha256"] and rows == export["row_count"], export)
        words.append(f"{rows:,} rows, SHA-256 {digest[:16]}… as promised")


def count_rows(format_name: str, data: bytes) -> int:
    if format_name == "json":
        return len(json.loads(data))
    return sum(1 for _ in csv.reader(io.StringIO(data.decode(), newline=""))) - 1


def ask_twice(screen: Screen, person: Person) -> None:
    screen.chapter("The same request sent twice, with one Idempotency-Key")
    first = request(screen, person, "csv", key="tour-1")
    second = request(screen, person, "csv", key="tour-1")
    expect(first == second, second)
    follow(screen, person, first["export_id"])
    screen.say("One export, one job: the second answer is the first one's.")


def knock_at_the_wall(screen: Screen, product: Product, person: Person) -> None:
    screen.chapter("Another tenant looks for this export")
    [export, *_] = person.get("/api/v1/exports?limit=1").json()["items"]
    with screen.step("asked:") as words:
        answer = product.visitor(NEIGHBOUR).get(f"/api/v1/exports/{export['id']}")
        expect(answer.status == 404, answer.status)
        words.append(f"{NEIGHBOUR} gets {answer.status}: {answer.json()['title']}")


def let_one_die(screen: Screen, product: Product) -> None:
    screen.chapter("A job that can't be done: kept, with its cause, and told")
    with screen.step("enqueued:") as words:
        payload = json.dumps({"export_id": str(uuid.uuid4())})
        product.command("enqueue", "exports.export_data", payload)
        words.append("an export that does not exist")
    with screen.step("dead:") as words:
        letter = wait_for_dead_letter(product)
        words.append(letter["error"])
    with screen.step("alerted:") as words:
        mail = wait_for_mail(product, subject="[Offload]")
        words.append(f"a mail in {product.directory / 'mail'} to {mail['To']}")
    with screen.step("discarded:") as words:
        product.command("dead_letters", "discard", letter["id"], "--reason", "a demonstration")
        words.append("by `manage.py dead_letters`, with a reason, for the audit log")


def wait_for_dead_letter(product: Product) -> dict[str, Any]:
    deadline = time.monotonic() + EXPORT_SECONDS
    while time.monotonic() < deadline:
        letters = json.loads(product.command("dead_letters", "list", "--json"))
        if letters:
            return dict(letters[0])
    raise Refused("The product promised otherwise: no dead letter was stored.")


def try_the_cron_table(screen: Screen, product: Product) -> None:
    screen.chapter("Cron, tried before it is deployed")
    for schedule in json.loads(product.command("list_schedules", "--json")):
        screen.say(f"{schedule['pattern']:<12} {schedule['name']:<18} next {schedule['next'][0]}")
    with screen.step("triggered:") as words:
        ran = product.command("trigger_schedule", "0 0 * * *", "--wait=60", "--json")
        parts = json.loads(ran)
        expect(all(part["state"] == "succeeded" for part in parts), parts)
        words.append(f"daily_cleanup, and its {len(parts) - 1} parts, each a job of its own")


def pull_the_plug(screen: Screen, product: Product, person: Person) -> None:
    screen.chapter("Accepted, then killed: nothing is lost")
    accepted = request(screen, person, "csv")
    with screen.step("killed:") as words:
        product.crash()
        words.append("SIGKILL, as a power cut would; the queues were in its memory")
    with screen.step("started again:") as words:
        words.append(f"process {product.start()}")
    with screen.step("completed:") as words:
        back = product.visitor(ASKING)
        done = follow(screen, back, accepted["export_id"])
        words.append(f"{done['row_count']:,} rows; the ledger still knew the job")


def leave(screen: Screen, product: Product) -> None:
    screen.chapter("The end")
    with screen.step("stopped:") as words:
        code = product.stop()
        expect(code == 0, f"exit code {code}")
        words.append("exit code 0, nothing left running")


def expect(truth: bool, found: Any) -> Any:
    """:raises Refused: showing what was found, unless it is true."""
    if not truth:
        raise Refused(f"The product promised otherwise: {found}")
    return found
