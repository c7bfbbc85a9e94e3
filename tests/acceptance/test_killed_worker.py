"""A worker that is killed with all its children in the middle of a large export."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import exporting, ledger
from tests.harness.client import Client
from tests.harness.system import System

ROWS = 200_000


class TestSigkill:
    def test_lets_another_worker_finish_and_nobody_see_half_a_file(self, system):
        # Given what an undisturbed run makes of the same rows
        people = system.people.acme
        exporting.add_items(system, people.id, ROWS)
        system.relay()
        client = system.web().client(people.token)
        with system.worker("undisturbed"):
            accepted = exporting.request_export(client)
            undisturbed = exporting.wait_for_export(client, accepted["export_id"])
            assert undisturbed["row_count"] == ROWS

        # When the whole group of a worker is killed in the middle, and another one starts
        doomed = system.worker(
            "doomed", env={"JOBS_EXTRA_TASK_MODULES": "tests.harness.slow_stores"}
        )
        accepted = exporting.request_export(client)
        with watched(system, client, accepted["export_id"]) as seen:
            system.wait_for(
                lambda: 0 < exporting.rows_done(client, accepted["export_id"]) < ROWS,
                seconds=60,
                what="it is in the middle",
            )
            doomed.kill()
            second = system.worker("second")
            export = exporting.wait_for_export(client, accepted["export_id"])

        # Then the other finishes it, with the same bytes
        assert export["sha256"] == undisturbed["sha256"]
        assert (export["row_count"], export["attempts"]) == (ROWS, 1)
        assert ledger.outcomes(system, accepted["job_id"]) == ["lost", "succeeded"]
        assert ledger.job_row(system, accepted["job_id"])["worker"].startswith("second@")
        assert exporting.digest(exporting.download(client, export)) == export["sha256"]
        assert second.alive

        # And whoever looked meanwhile saw no file, or all of it
        assert seen.downloads >= {(409, "")}
        assert seen.downloads <= {(409, ""), (200, export["sha256"])}
        assert seen.sizes <= {export["size_bytes"]}
        assert seen.looks > 10
        assert parts_left(system) == []


class Seen:
    """What a watcher has found: answers of the download endpoint, and sizes of the file."""

    def __init__(self) -> None:
        self.downloads: set[tuple[int, str]] = set()
        self.sizes: set[int] = set()
        self.looks = 0


@contextmanager
def watched(system: System, client: Client, export_id: str) -> Iterator[Seen]:
    """Look at an export's file again and again, as a reader of the API and of the store."""
    seen, done = Seen(), threading.Event()
    thread = threading.Thread(target=look_until, args=(done, system, client, export_id, seen))
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def look_until(
    done: threading.Event, system: System, client: Client, export_id: str, seen: Seen
) -> None:
    path = f"{exporting.EXPORTS}/{export_id}/download"
    with Client(client.url) as mine:
        mine.headers.update(client.headers)
        while not done.wait(0.05):
            files = [file for file in exporting.stored_files(system) if export_id in file.name]
            seen.sizes |= {file.stat().st_size for file in files}
            answer = mine.get(path)
            content = exporting.digest(answer.content) if answer.status_code == 200 else ""
            seen.downloads.add((answer.status_code, content))
            seen.looks += 1


def parts_left(system: System) -> list[Path]:
    return list((system.directory / "exports" / ".parts").iterdir())
