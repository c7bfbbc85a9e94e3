"""A dead message says what it was, whatever somebody has published."""

import base64
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from kombu import Message

from jobs.dead_letters.diagnosis import why_refused
from jobs.engine.dead_call import DeadCall
from jobs.engine.dead_message import TOO_DEEP, DeadMessage, as_json

ID = "0a20b7f4-e427-4ee9-afc6-14a7a513e979"
TASK = {"lang": "py", "id": ID, "task": "drills.run_atomic"}
WORK = b'[[], {"label": "x"}, {}]'


def death(reason, queue, **more):
    """One entry of `x-death`, as RabbitMQ 3.10 writes it."""
    return {
        "reason": reason,
        "queue": queue,
        "exchange": "jobs",
        "routing-keys": [f"{queue}.drills.run_atomic"],
        "count": 1,
        "time": datetime(2026, 11, 24, 8, 30, 1),  # noqa: DTZ001 - as py-amqp reads it.
        **more,
    }


def die(body=WORK, headers=TASK, *, routing_key="jobs.drills.run_atomic", **message):
    """Return a message as the alerting task gets it: over the wire, as JSON."""
    content = {"content_type": "application/json", "content_encoding": "utf-8"}
    info = {"exchange": "jobs.dead", "routing_key": routing_key}
    received = Message(body, headers=headers, delivery_info=info, **{**content, **message})
    return DeadMessage.from_json(json.loads(json.dumps(as_json(received))))


class TestWhyItDied:
    """Three deaths of one message; the newest entry of `x-death` is the first."""

    DEATHS = (
        death("delivery_limit", "exports"),
        death("expired", "celery_delayed_1"),
        death("rejected", "jobs", count=3),
    )

    def test_is_the_newest_death_in_the_layout_of_3_10(self):
        first = {"x-first-death-reason": "rejected", "x-first-death-queue": "jobs"}
        dead = die(headers={**TASK, "x-death": list(self.DEATHS), **first})
        assert (dead.reason, dead.queue) == ("delivery_limit", "exports")

    def test_is_the_newest_death_in_the_layout_of_4(self):
        # Since 3.13 there is `x-last-death-*` too, and a message has one entry per queue and reason
        more = {
            "x-first-death-reason": "rejected",
            "x-first-death-queue": "jobs",
            "x-first-death-exchange": "jobs",
            "x-last-death-reason": "delivery_limit",
            "x-last-death-queue": "exports",
            "x-last-death-exchange": "jobs",
        }
        dead = die(headers={**TASK, "x-death": list(self.DEATHS), **more})
        assert (dead.reason, dead.queue) == ("delivery_limit", "exports")

    def test_is_not_what_only_the_first_death_says(self):
        dead = die(headers={**TASK, "x-first-death-reason": "expired"})
        assert dead.reason == "unknown"

    def test_is_the_ledgers_when_the_relay_sent_it(self):
        dead = die(headers={**TASK, "dead_letter_of_ledger": True})
        assert (dead.reason, dead.queue) == ("ledger", "jobs")

    def test_has_its_moment_in_utc(self):
        dead = die(headers={**TASK, "x-death": [death("rejected", "jobs")]})
        assert dead.died_at == datetime(2026, 11, 24, 8, 30, 1, tzinfo=UTC)

    @pytest.mark.parametrize(
        "deaths", [None, [], "rejected", 7, ["rejected"], [None], [{}], {"reason": "rejected"}]
    )
    def test_is_unknown_where_the_header_is_not_the_brokers(self, deaths):
        dead = die(headers={**TASK, "x-death": deaths})
        assert (dead.reason, dead.queue, dead.died_at) == ("unknown", "jobs", None)

    @pytest.mark.parametrize("moment", ["", "yesterday", "2026-13-45T99:00:00", 7, None, [1]])
    def test_has_no_moment_that_is_none(self, moment):
        dead = die(headers={**TASK, "x-death": [death("rejected", "jobs", time=moment)]})
        assert dead.died_at is None


class TestWhatItSays:
    def test_names_its_job_its_dispatch_and_its_tenant(self):
        tenant, user = uuid.uuid4(), uuid.uuid4()
        headers = {**TASK, "dispatch": 4, "tenant_id": str(tenant), "user_id": str(user)}
        dead = die(headers=headers)
        assert (dead.job_id, dead.dispatch) == (uuid.UUID(ID), 4)
        assert (dead.tenant_id, dead.user_id) == (tenant, user)
        assert (dead.type, dead.payload) == ("drills.run_atomic", {"label": "x"})
        assert not dead.is_foreign

    @pytest.mark.parametrize("number", [None, -1, 2**31, "4", 4.0, [4], {"a": 4}])
    def test_counts_as_dispatch_0_where_the_number_is_none(self, number):
        assert die(headers={**TASK, "dispatch": number}).dispatch == 0

    @pytest.mark.parametrize("name", ["id", "tenant_id", "user_id"])
    @pytest.mark.parametrize("value", [None, "", "7", 7, ["a"], {"a": 1}, b"\xff", "\0"])
    def test_has_no_id_that_is_none(self, name, value):
        dead = die(headers={**TASK, name: value})
        assert getattr(dead, "job_id" if name == "id" else name) is None

    @pytest.mark.parametrize("task", [None, 7, ["a"], {"a": 1}])
    def test_has_no_type_that_is_no_text(self, task):
        assert die(headers={**TASK, "task": task}).type == ""

    def test_cuts_a_type_to_its_columns_length(self):
        assert die(headers={**TASK, "task": "x" * 1_000}).type == "x" * 120


class TestItsHeaders:
    @pytest.mark.parametrize(
        ("value", "kept"),
        [
            ("a\0b", "a␀b"),
            ("half \ud800 a character", "half ? a character"),
            (b"\x00\xff", {"base64": "AP8="}),
            (float("nan"), "nan"),
            (float("-inf"), "-inf"),
            (1.5, 1.5),
            (2**63 - 1, 2**63 - 1),
            (Decimal("1.10"), "1.10"),
            ({"in\0ner": [b"\xff", float("inf")]}, {"in␀ner": [{"base64": "/w=="}, "inf"]}),
            (None, None),
            (True, True),
        ],
    )
    def test_are_kept_as_what_postgresql_stores(self, value, kept):
        assert die(headers={**TASK, "x": value}).headers["x"] == kept

    def test_may_be_named_by_bytes(self):
        assert die(headers={**TASK, b"\xff": 1}).headers["b'\\xff'"] == 1

    def test_may_be_nested_deeper_than_anybody_nests(self):
        deep: object = "bottom"
        for _ in range(400):
            deep = [deep]
        kept = json.dumps(die(headers={**TASK, "x": deep}).headers["x"])
        assert TOO_DEEP in kept
        assert kept.count("[") < 100

    def test_may_be_huge(self):
        assert die(headers={**TASK, "x": "x" * 1_000_000}).headers["x"] == "x" * 1_000_000

    def test_have_a_routing_key_that_postgresql_stores(self):
        assert die(routing_key="jobs.\0\ud800").routing_key == "jobs.␀?"


class TestItsBody:
    @pytest.mark.parametrize(
        "body", [b"", b"\x00", bytes(range(256)), "Zoë".encode(), b"\xff\xfe{", WORK]
    )
    def test_is_kept_byte_for_byte(self, body):
        assert die(body).body == body

    def test_is_kept_where_amqp_has_made_text_of_it(self):
        assert die("Zoë 🚀").body == "Zoë 🚀".encode()

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "cp1252"])
    def test_is_encoded_again_as_it_was(self, encoding):
        assert die("Zoë", content_encoding=encoding).body == "Zoë".encode(encoding)

    def test_that_can_not_be_unpacked_says_so(self):
        dead = die(b"no gzip", headers={**TASK, "compression": "application/x-gzip"})
        assert "can't be unpacked" in dead.fault
        assert dead.payload is None

    @pytest.mark.parametrize(
        "body",
        [b"\xff\xfe{", b"{", b"null", b"[1,2]", b"[[1],[2],{}]", b'{"a":1}', b"[[],{},7]", b""],
    )
    def test_that_no_worker_can_read_has_a_fault_and_no_payload(self, body):
        dead = die(body)
        assert dead.fault
        assert dead.payload is None
        assert type(why_refused(dead)).__name__ == "RefusedUnread"

    def test_of_another_content_type_has_a_fault(self):
        assert "can't be read" in die(content_type="application/x-python-serialize").fault

    def test_that_is_nested_without_end_has_a_fault_and_no_payload(self):
        dead = die(b"[" * 100_000)
        assert "can't be read" in dead.fault

    @pytest.mark.parametrize(
        "value", ['"\\u0000"', '"\\ud800"', "NaN", "1e999", "[" * 60 + "]" * 60]
    )
    def test_whose_payload_the_ledger_can_not_store_is_refused_and_not_called_unknown(self, value):
        dead = die(f'[[], {{"label": {value}}}, {{}}]'.encode())
        assert type(why_refused(dead)).__name__ == "RefusedUnread"


class TestWhyNoWorkerRanIt:
    def test_may_be_that_it_expired_in_its_queue(self):
        dead = die(headers={**TASK, "x-death": [death("expired", "jobs")]})
        assert type(why_refused(dead)).__name__ == "JobExpired"

    @pytest.mark.parametrize(
        "expires", ["2020-01-01T00:00:00", "2020-01-01T00:00:00Z", "2020-01-01 00:00:00+02:00"]
    )
    def test_may_be_that_it_came_too_late(self, expires):
        assert type(why_refused(die(headers={**TASK, "expires": expires}))).__name__ == "JobExpired"

    @pytest.mark.parametrize("expires", [None, "", "soon", 7, "2999-01-01T00:00:00Z", [1]])
    def test_is_not_an_end_of_time_that_is_none_or_not_yet(self, expires):
        assert not die(headers={**TASK, "expires": expires}).has_expired

    def test_may_be_its_positional_arguments(self):
        assert "positional" in str(why_refused(die(b"[[7], {}, {}]")))

    def test_is_else_that_no_worker_knew_its_type(self):
        refusal = why_refused(die(headers={**TASK, "task": "tests.unknown"}))
        assert type(refusal).__name__ == "UnknownTaskType"
        assert "tests.unknown" in str(refusal)


class TestItsDigest:
    def test_is_the_same_for_another_delivery(self):
        headers = {**TASK, "x-death": [death("rejected", "jobs")]}
        again = {**headers, "x-delivery-count": 3}
        as_kombu_has_it = {"application_headers": again, "delivery_mode": 2}
        first = die(headers=headers, properties={**as_kombu_has_it, "application_headers": headers})
        assert first.digest == die(headers=again, properties=as_kombu_has_it).digest
        assert first.properties["delivery_mode"] == 2

    @pytest.mark.parametrize(
        "other",
        [
            {"body": b"{}"},
            {"headers": {**TASK, "x": 1}},
            {"routing_key": "exports.x"},
            {"properties": {"message_id": "2"}},
            {"content_type": "text/plain"},
        ],
    )
    def test_is_another_messages_for_any_difference(self, other):
        assert die(**other).digest != die().digest


class TestTheCallOfTheAlertingTask:
    def test_carries_the_message_and_answers_the_original_delivery(self):
        answers = []
        message: Any = Message
        dead = message(WORK, headers=TASK, delivery_tag=7, delivery_info={"exchange": "jobs.dead"})
        dead.ack_log_error = lambda *args: answers.append(args)

        call = DeadCall(dead)
        call.ack_log_error("logger", "errors")

        assert answers == [("logger", "errors")]
        assert call.delivery_tag == 7
        assert call.headers["task"] == "alerts.record_dead_letter"
        assert call.headers["id"] != ID
        [args, kwargs, _] = json.loads(call.body)
        assert args == []
        assert base64.b64decode(kwargs["message"]["body"]) == WORK
