"""What may be stored as a payload."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from jobs import payloads
from jobs.errors import PayloadRefused, PayloadTooLarge
from jobs.registry import JobType


class Report(BaseModel):
    report_id: UUID
    rows: int = 0
    notes: dict[str, Any] = {}


class Anything(BaseModel):
    data: Any


REPORT_ID = "0193aaaa-0000-7000-8000-000000000001"
job_type = JobType(name="reports.build_report", queue="jobs", payload=Report, function=print)


class TestAsJson:
    def test_gives_plain_values(self):
        assert payloads.as_json(Report(report_id=UUID(REPORT_ID))) == {
            "report_id": REPORT_ID,
            "rows": 0,
            "notes": {},
        }

    def test_takes_64_kib_and_no_byte_more(self):
        frame = len('{"data":""}')

        assert payloads.as_json(Anything(data="x" * (65_536 - frame)))
        with pytest.raises(PayloadTooLarge, match=r"^payload: 65537 bytes; at most 65536 fit"):
            payloads.as_json(Anything(data="x" * (65_537 - frame)))

    def test_counts_bytes_and_not_characters(self):
        with pytest.raises(PayloadTooLarge):
            payloads.as_json(Anything(data="🚀" * 16_400))

    @pytest.mark.parametrize(
        ("data", "field"),
        [
            ("a\0b", "data"),
            ({"deep": [{"er": "\0"}]}, r"data\.deep\.0\.er"),
            (["fine", "\0"], r"data\.1"),
            ({"bad\0name": 1}, "data"),
        ],
    )
    def test_names_the_field_with_a_nul(self, data, field):
        with pytest.raises(PayloadRefused, match=f"^{field}: holds a NUL character"):
            payloads.as_json(Anything(data=data))

    def test_takes_the_six_characters_that_only_look_like_a_nul(self):
        text = r"\u0000"

        assert payloads.as_json(Anything(data=text)) == {"data": text}

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_refuses_numbers_that_json_does_not_have(self, value):
        with pytest.raises(PayloadRefused, match="data"):
            payloads.as_json(Anything(data={"ratio": value}))


class TestRead:
    def test_ignores_fields_that_a_newer_release_sends(self):
        report = job_type.read({"report_id": REPORT_ID, "added_later": True})

        assert report == Report(report_id=UUID(REPORT_ID))

    def test_names_each_field_that_does_not_fit(self):
        with pytest.raises(PayloadRefused) as refused:
            job_type.read({"report_id": "x", "rows": "many"})

        assert "reports.build_report" in str(refused.value)
        assert "report_id: " in str(refused.value)
        assert "rows: " in str(refused.value)

    def test_names_a_field_that_is_missing(self):
        with pytest.raises(PayloadRefused, match="report_id: Field required"):
            job_type.read({})

    @pytest.mark.parametrize("payload", [None, [], "text", 7])
    def test_refuses_what_is_no_object_at_all(self, payload):
        with pytest.raises(PayloadRefused, match="payload: "):
            job_type.read(payload)

    def test_does_not_repeat_the_value_in_the_message(self):
        # It may be a secret that somebody put there by mistake, and the message is logged.
        with pytest.raises(PayloadRefused) as refused:
            job_type.read({"report_id": "hunter2"})

        assert "hunter2" not in str(refused.value)
