"""Every way in which a message dies that no worker can run: stored as it came, with the reason."""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.harness import deaths, ledger
from tests.harness.processes import Worker
from tests.harness.system import System

ENV = {
    "JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.dying,tests.harness.witness",
}
GOOD = b'[[], {"label": "x"}, {}]'
LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= ENV
    shared_system.relay()
    return shared_system


@pytest.fixture(scope="module")
def worker(system: System) -> Worker:
    return system.worker()


@dataclass(frozen=True)
class Raw:
    """What somebody publishes, and what is said of it. `id`: None for none, "" for a new one."""

    said: str
    body: bytes = GOOD
    id: str | None = ""
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    error_type: str = "RefusedUnread"

    def headers_of(self, own_id: str) -> dict[str, Any]:
        headers = {"lang": "py", "task": "tests.do_nothing", "id": self.id or own_id}
        if self.id is None:
            del headers["id"]
        return {**headers, **self.headers}


NOT_THREE = "its body is not [args, kwargs, embed]"
UNREAD = {
    "keyword arguments that are a list": Raw("keyword arguments are no mapping", b"[[1],[2],{}]"),
    "two parts": Raw(NOT_THREE, b"[1,2]"),
    "an object": Raw(NOT_THREE, b'{"a":1}'),
    "null": Raw(NOT_THREE, b"null"),
    "an empty body": Raw("its body", b""),
    "positional arguments": Raw("positional arguments", b'[[1], {"label": "x"}, {}]'),
    "bad UTF-8": Raw("its body can't be read", b'[[], {"label": "\xff\xfe"}, {}]'),
    "bad JSON": Raw("its body can't be read", b'[[], {"label": '),
    "bad gzip": Raw(
        "its body can't be unpacked", b"no gzip", headers={"compression": "application/x-gzip"}
    ),
    "an unknown compression": Raw(
        "its body can't be unpacked", headers={"compression": "application/x-squeezed"}
    ),
    "pickle": Raw(
        "its body can't be read",
        b"\x80\x04N.",
        properties={
            "content_type": "application/x-python-serialize",
            "content_encoding": "binary",
        },
    ),
    "an empty content type": Raw("its body can't be read", properties={"content_type": ""}),
    "a list as its task": Raw("its header `task` names no task", headers={"task": ["a", "b"]}),
    "no id": Raw("its header `id` is missing", id=None),
    "a time limit of text": Raw("its header `timelimit`", headers={"timelimit": "ab"}),
    "a time limit of words": Raw("its header `timelimit`", headers={"timelimit": ["x", "y"]}),
    "an id that is no UUID": Raw("its header `id` is no UUID", id="order-17"),
    "a tenant that is no UUID": Raw("its header `tenant_id`", headers={"tenant_id": "acme"}),
    "a user that is no UUID": Raw("its header `user_id`", headers={"user_id": 17}),
    "a dispatch that is no number": Raw("its header `dispatch`", headers={"dispatch": "first"}),
    "a time that is none": Raw("its header `expires`", headers={"expires": "soon"}),
    "a chain": Raw("its chain", b'[[], {"label": "x"}, {"chain": [{"task": "tests.exit"}]}]'),
    "a chord": Raw("its chord", headers={"chord": {"task": "tests.exit"}}),
    "a wish for a result": Raw(
        "PayloadRefused", b"[[], {}, {}]", headers={"ignore_result": False},
        error_type="PayloadRefused",
    ),
    "a wish for a result, and a process that dies": Raw(
        "died without a word", b"[[], {}, {}]",
        headers={"task": "tests.exit_at_once", "ignore_result": False},
        error_type="ProcessDied",
    ),
    "Celery's own expiry": Raw(
        "It expired in its queue", headers={"expires": LONG_AGO}, error_type="JobExpired"
    ),
    "no header at all": Raw("its header `task` names no task", id=None, headers={"task": None}),
}  # fmt: skip


@pytest.mark.parametrize("raw", UNREAD.values(), ids=UNREAD.keys())
def test_a_message_is_stored_as_it_came_and_the_worker_goes_on(system, worker, raw):
    # Given a worker, and a message of another program
    pid, known = worker.pid, deaths.all_dead_letters(system)
    headers = raw.headers_of(str(uuid.uuid4()))
    system.queues.publish("jobs.made.elsewhere", raw.body, headers=headers, **raw.properties)

    # Then there is one dead letter, which says what is wrong with it
    death = deaths.wait_for_new(system, known)
    assert (death.row.reason, death.row.queue) == ("rejected", "jobs")
    assert raw.said in death.row.error
    assert death.row.error_type == raw.error_type

    # And it is what was sent, byte for byte
    assert bytes(death.row.body) == raw.body
    assert death.row.routing_key == "jobs.made.elsewhere"
    assert headers.items() <= death.row.headers.items()

    # And the worker goes on
    deaths.assert_works_on(system)
    assert (worker.pid, worker.alive) == (pid, True)
    assert len(deaths.all_dead_letters(system)) == len(known) + 1


class TestAPayloadThatFailsItsSchema:
    def test_dies_without_a_retry_and_names_the_field(self, system, worker):
        # Given a message of another program, or an older release, whose field is no number
        job_id, body = str(uuid.uuid4()), json.dumps([[], {"number": "seven"}, {}]).encode()
        headers = {"lang": "py", "task": "tests.need_number", "id": job_id}
        known = deaths.all_dead_letters(system)
        system.queues.publish("jobs.tests.need_number", body, headers=headers)

        # Then it ran once, and its cause is joined
        death = deaths.wait_for_new(system, known)
        assert str(death.row.job_id) == job_id
        assert (death.row.error_type, death.attempts) == ("PayloadRefused", 1)
        assert "number: Input should be a valid integer" in death.row.error
        assert "Traceback" in death.cause.traceback
        assert bytes(death.row.body) == body
        assert ledger.outcomes(system, job_id) == ["failed"]
        assert worker.alive


class TestAfterAllThat:
    def test_no_second_dead_letter_has_come(self, system, worker):
        known = len(deaths.all_dead_letters(system))
        deaths.assert_works_on(system)
        deaths.wait_until_quiet(system)
        assert len(deaths.all_dead_letters(system)) == known

    def test_the_parent_process_never_connected_to_the_database(self, system, worker):
        connected = deaths.pids_that_connected(worker)
        assert connected & set(worker.children())
        assert worker.pid not in connected

    def test_no_result_was_written(self, system, worker):
        assert system.value("SELECT count(*) FROM django_celery_results_taskresult") == 0
