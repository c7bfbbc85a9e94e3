"""A short chaos run: six faults under a hundred exports. `make chaos` has the long ones."""

from tests.chaos.faults import STRIKES, script
from tests.chaos.run import run
from tests.harness.system import System


class TestChaos:
    def test_loses_and_doubles_nothing(self, system: System) -> None:
        report = run(system, seed=1, exports=100, faults=6)

        assert report.was_quiet
        assert report.verdict.is_good, report.verdict
        assert report.verdict.accepted == 100


class TestScript:
    def test_is_the_same_for_the_same_seed(self) -> None:
        assert script(7, 20) == script(7, 20) != script(8, 20)

    def test_has_every_kind_before_one_comes_again(self) -> None:
        assert {fault.kind for fault in script(3, len(STRIKES))} == set(STRIKES)
