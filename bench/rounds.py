"""Compares two ways of doing the same, in turns, so that what else the machine does meets both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Goal:
    """What the ratio of product to reference must keep to."""

    bound: float
    most: bool = False  #: True: the ratio may be at most the bound; False: it must be at least.

    def __str__(self) -> str:
        return f"{'at most' if self.most else 'at least'} {self.bound:g}"

    def met_by(self, ratio: float) -> bool:
        return ratio <= self.bound if self.most else ratio >= self.bound


@dataclass(frozen=True)
class Figure:
    """One line of the result: a pair of measurements for each round, and the goal."""

    name: str
    reference: str  #: What the product is compared with.
    unit: str
    goal: Goal
    pairs: Sequence[tuple[float, ...]] = field(repr=False)  #: (reference, product)

    @property
    def ratios(self) -> list[float]:
        return [product / reference for reference, product in self.pairs]

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def met(self) -> bool:
        return self.goal.met_by(self.ratio)

    @property
    def typical(self) -> tuple[float, float]:
        """Return the medians of the reference and of the product."""
        references, products = zip(*self.pairs, strict=True)
        return median(references), median(products)


def in_turns(rounds: int, *measures: Callable[[], float]) -> list[tuple[float, ...]]:
    """
    Measure all of them in every round, and return a row for each round.

    Another one begins each time: who comes later finds warmer caches.
    """
    table = []
    for first in range(rounds):
        order = [(first + turn) % len(measures) for turn in range(len(measures))]
        measured = {number: measures[number]() for number in order}
        table.append(tuple(measured[number] for number in range(len(measures))))
    return table
