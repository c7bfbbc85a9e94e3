"""Compares two ways of doing the same, in turns, so that what else the machine does meets both."""

from collections.abc import Callable
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
    pairs: list[tuple[float, float]] = field(repr=False)  #: (reference, product)

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


def alternate(
    reference: Callable[[], float], product: Callable[[], float], rounds: int
) -> list[tuple[float, float]]:
    """Measure both in every round; which goes first changes, for the second finds warm caches."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            measured = product()
            pairs.append((reference(), measured))
        else:
            pairs.append((reference(), product()))
    return pairs
