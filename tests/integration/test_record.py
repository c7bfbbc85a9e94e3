"""The alerting task: what it stores is stored once, whole, and never stops at a message."""

import base64
import json
import uuid
from functools import partial
from typing import Any

import pytest
from celery import current_app
from celery.exceptions import Reject
from django.db import OperationalError, connection, transaction

from jobs import tasks
from jobs.alerts import operations as alerts
from jobs.dead_letters import table
from jobs.dead_letters.record import record
from jobs.engine import lifecycle
from jobs.errors import MoveRefused
from jobs.models import Alert, DeadLetter, Incident, Job
from jobs.states import JobState
from tests.dead import dead_message, dead_message_of, death
from tests.deliveries import at_once
from tests.drills import fresh, make_job

pytestmark = pytest.mark.django_db(transaction=True)

UNREADABLE = b"\xff\xfe{"


@pytest.fixture
def waits(monkeypatch):
    """Count the pauses of the alerting task instead of sleeping through them."""
    seconds: list[float] = []
    monkeypatch.setattr("jobs.tasks.time.sleep", seconds.append)
    return seconds


def make_failed(place: str = "here") -> Job:
    job = make_job(state=JobState.RUNNING)
    lifecycle.fail(job, RuntimeError(place), message_follows=True)
    return job


def unreadable(**changes: Any) -> Any:
    return dead_message(UNREADABLE, {"task": "tests.garbage", "id": "no id"}, **changes)


def run_task(message: dict[str, Any]) -> None:
    current_app.tasks["alerts.record_dead_letter"](message=message)


def counts() -> tuple[int, int]:
    """Return how many dead letters are stored and how many alerts were raised."""
    return DeadLetter.objects.count(), Alert.objects.count()


class TestADeathOfAJob:
    def test_is_stored_once_by_two_workers_at_the_same_moment(self):
        for _ in range(10):
            message = dead_message_of(make_failed())

            letters = at_once(*[partial(record, message)] * 2)

            assert sorted(letter is None for letter in letters) == [False, True]
        assert counts() == (10, 1)

    def test_is_stored_once_by_two_workers_that_settle_it_themselves(self):
        # Given jobs whose process died without a word, and two copies of each message
        for _ in range(10):
            message = dead_message_of(make_job(state=JobState.RUNNING, failures=3))

            letters = at_once(*[partial(record, message)] * 2)

            assert sorted(letter is None for letter in letters) == [False, True]
        assert counts() == (10, 1)
        assert Incident.objects.count() == 1

    def test_waits_once_by_two_workers_at_the_same_moment(self):
        # One puts it off; the other's look finds it gone on
        job = make_job(state=JobState.RUNNING)
        message = dead_message_of(job)

        at_once(lambda: record(message), lambda: record(message))

        assert (fresh(job).state, fresh(job).failures) == ("retrying", 1)
        assert set(DeadLetter.objects.values_list("state", flat=True)) <= {"superseded"}
        assert Alert.objects.count() == 0

    def test_is_noted_in_the_transaction_that_stores_it(self, monkeypatch):
        # Given a process that dies between the two
        job = make_failed()

        def die(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(alerts, "alert_of_dead_letter", die)
        with pytest.raises(KeyboardInterrupt):
            record(dead_message_of(job))

        # Then neither has happened
        assert fresh(job).dead_lettered_at is None
        assert counts() == (0, 0)

    def test_has_the_cause_of_its_own_dispatch(self):
        # Given a job that failed in dispatch 1 for another reason than in dispatch 2
        job = make_job(state=JobState.RUNNING, worker="one@here:7")
        job.history.create(
            attempt=9, dispatch=0, outcome="failed", error_type="OldError", place="old.py:old"
        )
        lifecycle.fail(job, ValueError("new"), message_follows=True)

        letter = record(dead_message_of(job))

        assert letter is not None
        assert letter.cause is not None
        assert (letter.error_type, letter.cause.error_type) == ("ValueError", "ValueError")


class TestWhatIsStored:
    @pytest.mark.parametrize("body", [b"", b"\0", bytes(range(256)), b"\xff" * 1_000_000])
    def test_is_the_body_byte_for_byte(self, body):
        record(dead_message(body, {"x": 1}))
        assert bytes(DeadLetter.objects.get().body) == body

    @pytest.mark.parametrize(
        "value",
        [
            "a\0b",
            "\ud800",
            b"\x00\xff",
            float("nan"),
            float("inf"),
            {"n\0": [b"\xff", {"a": float("-inf")}]},
            "x" * 1_000_000,
            2**63 - 1,
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("name", ["x", "task", "id", "tenant_id", "dispatch", "expires"])
    def test_is_any_header_that_amqp_carries(self, name, value):
        assert record(dead_message(UNREADABLE, {name: value}))
        assert DeadLetter.objects.get().headers[name]

    @pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 255, "", b"\xff"])
    def test_is_a_header_of_any_name(self, name):
        record(dead_message(UNREADABLE, {name: "kept"}))
        assert "kept" in DeadLetter.objects.get().headers.values()

    @pytest.mark.parametrize("key", ["", "\0", "jobs.\ud800", "x" * 255])
    def test_is_any_routing_key(self, key):
        assert record(dead_message(UNREADABLE, {}, routing_key=key))

    @pytest.mark.parametrize("value", [7, None, ["rejected"], "\0", {"a": "b"}, float("nan")])
    @pytest.mark.parametrize("name", ["reason", "queue", "time", "count"])
    def test_is_a_message_whose_death_somebody_made_up(self, name, value):
        made_up = {**death("rejected"), name: value}
        assert record(dead_message(UNREADABLE, {"x-death": [made_up]}, reason=""))

    def test_is_what_makes_up_its_properties(self):
        message = dead_message(
            UNREADABLE, {}, content_type="text/\0", content_encoding="rot13",
            properties={"correlation_id": "\0", "timestamp": 2**63 - 1},
        )  # fmt: skip
        assert record(message)
        assert DeadLetter.objects.get().properties["timestamp"] == 2**63 - 1

    @pytest.mark.parametrize("dispatch", [True, 0, 2**31 - 1, 2**31, -1, "1", 1.5, None])
    def test_is_a_message_with_any_dispatch_number(self, dispatch):
        record(dead_message(b"[[], {}, {}]", {"id": str(uuid.uuid4()), "dispatch": dispatch}))
        assert DeadLetter.objects.count() == 1


class TestAMessageThatNobodyCanRead:
    def test_is_stored_once_when_it_is_delivered_again(self):
        # Given a worker that was killed between the commit and the acknowledgement
        record(unreadable())
        assert record(unreadable(redelivered=True)) is None
        assert counts() == (1, 1)

    def test_is_stored_when_it_is_delivered_again_and_was_not(self):
        record(unreadable(redelivered=True))
        assert counts() == (1, 1)

    def test_is_stored_twice_when_there_were_two(self):
        record(unreadable())
        record(unreadable())
        assert counts() == (2, 1)

    def test_is_stored_twice_when_two_are_stored_at_the_same_moment(self):
        for number in range(10):
            message = dead_message(UNREADABLE, {"number": number})

            letters = at_once(*[partial(record, message)] * 2)

            assert [type(letter) for letter in letters] == [DeadLetter, DeadLetter]
        assert DeadLetter.objects.count() == 20

    def test_is_an_incident_by_its_type_and_alerts_once(self):
        for number in range(20):
            record(dead_message(UNREADABLE, {"task": "tests.garbage", "number": number}))
        assert (counts(), Incident.objects.count()) == ((20, 1), 1)


class TestADatabaseThatIsAway:
    def test_sends_the_message_back_to_its_queue(self, monkeypatch, waits):
        # Given a database that does not come back in time
        monkeypatch.setattr(tasks, "DATABASE_WAIT_SECONDS", 0.3)
        tries = []

        def be_away(message):
            tries.append(message)
            raise OperationalError("away")

        monkeypatch.setattr(tasks, "record", be_away)

        with pytest.raises(Reject) as sent_back:
            run_task(as_sent(unreadable()))

        assert sent_back.value.requeue  # type: ignore[attr-defined]
        assert len(tries) > 1

    def test_that_comes_back_stores_it_once(self, monkeypatch, waits):
        answers = [OperationalError("away"), OperationalError("away")]

        def be_away_at_first(message):
            if answers:
                raise answers.pop()
            return record(message)

        monkeypatch.setattr(tasks, "record", be_away_at_first)
        run_task(as_sent(unreadable()))
        assert counts() == (1, 1)

    def test_that_cuts_the_connection_in_the_middle_stores_it_once(self, monkeypatch, waits):
        # Given a connection that ends between the dead letter and its alert
        job = make_failed()
        cut: list[DeadLetter] = []
        tell = alerts.alert_of_dead_letter

        def cut_first(letter, *, silent):
            if not cut:
                cut.append(letter)
                end_own_connection()
            tell(letter, silent=silent)

        monkeypatch.setattr(alerts, "alert_of_dead_letter", cut_first)
        run_task(as_sent(dead_message_of(job)))

        assert (len(cut), counts()) == (1, (1, 1))
        assert fresh(job).dead_lettered_at


class TestAMessageThatCanNotBeStored:
    def test_goes_back_after_a_pause(self, monkeypatch, waits):
        # Given what nobody has thought of
        def be_puzzled(message):
            raise ValueError("never seen before")

        monkeypatch.setattr(tasks, "record", be_puzzled)

        with pytest.raises(Reject) as sent_back:
            run_task(as_sent(unreadable()))

        assert sent_back.value.requeue  # type: ignore[attr-defined]
        assert waits == [tasks.PAUSE_SECONDS]

    def test_goes_back_when_its_job_moves_under_every_look(self, monkeypatch, waits):
        job = make_job(state=JobState.QUEUED)

        def move_away(job, message):
            raise MoveRefused(job, JobState.WAITING)

        monkeypatch.setitem(table.ROWS, JobState.QUEUED, move_away)

        # Then it is no `Ignore`, which would acknowledge it
        with pytest.raises(Reject) as sent_back:
            run_task(as_sent(dead_message_of(job)))
        assert sent_back.value.requeue  # type: ignore[attr-defined]
        assert (waits, counts()) == ([tasks.PAUSE_SECONDS], (0, 0))

    def test_goes_back_whole_when_a_hook_of_its_type_fails(self, monkeypatch, waits):
        # Given a type whose own code can't take the news
        job = make_job(state=JobState.RUNNING, failures=3)

        def refuse(job):
            raise RuntimeError("the feature's own fault")

        monkeypatch.setattr("tests.drills.script.on_settled", refuse)
        with pytest.raises(Reject):
            run_task(as_sent(dead_message_of(job)))
        assert (fresh(job).state, counts()) == ("running", (0, 0))

        # And when that is mended, it is stored
        monkeypatch.undo()
        run_task(as_sent(dead_message_of(job)))
        assert (fresh(job).state, counts()) == ("failed", (1, 1))


def as_sent(message: Any) -> dict[str, Any]:
    """Return a dead message as its call carries it."""
    fields = {**message.__dict__, "body": base64.b64encode(message.body).decode()}
    names = ("body", "headers", "properties", "routing_key", "redelivered", "unpacking")
    sent: dict[str, Any] = json.loads(json.dumps({name: fields[name] for name in names}))
    return sent


def end_own_connection() -> None:
    """Let the server end this thread's connection, as its restart would."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()

    def end() -> None:
        with transaction.atomic(), connection.cursor() as another:
            another.execute("SELECT pg_terminate_backend(%s)", [pid])

    at_once(end)
