"""`python -m bench`: measure, print, and write `var/bench/figures.{json,md}`."""

import argparse
from importlib import import_module
from pathlib import Path

from bench import report
from bench.rounds import Figure
from bench.stage import CHECKOUT, Stage, open_stage

QUESTIONS = (
    "enqueue", "drain", "latency", "export", "parts", "dead_letters", "aggregate", "cleanup",
    "webhooks", "workflows",
)  # fmt: skip


def main() -> None:
    options = _options()
    figures: list[Figure] = []
    with open_stage() as stage:
        for question in options.only:
            figures += _measure(question, stage, options.rounds)
            report.show(figures)
    report.write(figures, options.output)


def _measure(question: str, stage: Stage, rounds: int) -> list[Figure]:
    # Imported late: its tasks and models need the settings that the stage makes.
    return list(import_module(f"bench.figures.{question}").measure(stage, rounds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each pair (default: 3)")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=QUESTIONS)
    parser.add_argument("--output", type=Path, default=CHECKOUT / "var" / "bench")
    return parser.parse_args()


if __name__ == "__main__":
    main()
