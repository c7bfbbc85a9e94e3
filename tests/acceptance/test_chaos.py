"""A short chaos run: six faults under a hundred exports. `make chaos` has the long ones."""

from uuid import UUID, uuid4

from django.db import transaction

from exports import operations
from tests.chaos.client import Submitter
from tests.chaos.faults import STRIKES, script
from tests.chaos.oracle import judge
from tests.chaos.run import run
from tests.chaos.told import untold
from tests.harness.system import System
from tests.webhook_receiver import webhook_receiver


def request_export(system: System) -> str:
    with system.orm(), transaction.atomic():
        tenant = UUID(system.people.acme.id)
        export = operations.request_export(
            tenant_id=tenant, user_id=None, dataset="items", format="csv"
        )
    return str(export.pk)


def complete(system: System, export_id: str) -> None:
    system.rows(
        "UPDATE exports_export SET status = 'completed', size_bytes = 1, sha256 = 'x' "
        "WHERE id = %s",
        export_id,
    )


def succeed_twice(system: System, export_id: str) -> None:
    for attempt in (1, 2):
        system.rows(
            "INSERT INTO jobs_attempt (job_id, attempt, dispatch, outcome, worker, ended_at, "
            "error_type, error_message, place, traceback) "
            "SELECT job_id, %s, 1, 'succeeded', '', NOW(), '', '', '', '' "
            "FROM exports_export WHERE id = %s",
            attempt,
            export_id,
        )


class TestChaos:
    def test_loses_and_doubles_nothing(self, system: System) -> None:
        report = run(system, seed=1, exports=100, faults=6)

        assert report.was_quiet
        assert report.verdict.is_good, report.verdict
        assert report.verdict.accepted == 100


class TestOracle:
    def test_sees_what_is_lost_stuck_duplicated_or_unexpected(self, system: System) -> None:
        # Given an export that waits, one without its file, one with two successes, and strangers
        waits, without_file, twice, stranger = (request_export(system) for _ in range(4))
        complete(system, without_file)
        complete(system, twice)
        succeed_twice(system, twice)
        stray = system.directory / "exports" / "stray.csv"
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_text("nobody's")
        submitter = Submitter(product=None, count=4, seconds=0)  # type: ignore[arg-type]
        gone = str(uuid4())
        submitter.accepted = dict(enumerate((waits, without_file, twice, gone)))  # type: ignore[arg-type]

        verdict = judge(system, submitter)

        assert not verdict.is_good
        assert [words.split(":")[0] for words in verdict.stuck] == [waits]
        assert {words.split(":")[0] for words in verdict.lost} == {without_file, gone}
        assert [words.split(":")[0] for words in verdict.duplicated] == [twice]
        assert set(verdict.unexpected) == {f"export {stranger}", "file stray.csv"}

    def test_sees_who_was_not_told(self, system: System) -> None:
        # Given an export that was completed past the engine, so that nobody was told
        export_id = request_export(system)
        complete(system, export_id)

        with webhook_receiver() as receiver:
            wrong = untold(system, receiver, [export_id])

        assert wrong == ["0 deliveries of 1", "0 mails of 1"]


class TestScript:
    def test_is_the_same_for_the_same_seed(self) -> None:
        assert script(7, 20) == script(7, 20) != script(8, 20)

    def test_has_every_kind_before_one_comes_again(self) -> None:
        assert {fault.kind for fault in script(3, len(STRIKES))} == set(STRIKES)
