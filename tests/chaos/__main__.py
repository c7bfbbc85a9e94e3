"""`python -m tests.chaos`: one row per seed, and exit code 1 when anything is wrong."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.harness import environment
from tests.harness.servers import Servers

COLUMNS = (
    "seed", "accepted", "faults", "seconds", "completed", "failed", "lost", "stuck", "duplicated",
    "unexpected", "untold", "queues empty",
)  # fmt: skip


def main() -> int:
    options = _options()
    servers = Servers()
    environment.set_for_this_process(database_url=servers.database_url, directory=servers.directory)
    bad = []
    try:
        for seed in _seeds(options.seeds):
            if not _one(servers, seed, options):
                bad.append(seed)
    finally:
        servers.close()
    if bad:
        print(f"Not good: seeds {', '.join(map(str, bad))}.")
    return int(bool(bad))


def _one(servers: Servers, seed: int, options: argparse.Namespace) -> bool:
    from tests.chaos.run import keep_logs, run
    from tests.harness.system import System
    from tests.harness.template import make_template

    print(f"seed {seed}", flush=True)
    servers.start_both()
    template = make_template(servers)
    directory = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    system = System(servers, template, directory)
    try:
        report = run(
            system,
            seed=seed,
            exports=options.exports,
            faults=options.faults,
            say=lambda line: print(line, flush=True),
        )
        row = _row(report)
        print(" | ".join(f"{name} {cell}" for name, cell in zip(COLUMNS, row, strict=True)))
        if options.markdown:
            with Path(options.markdown).open("a") as file:
                file.write(f"| {' | '.join(row)} |\n")
        if not report.is_good:
            _explain(report, keep_logs(system, Path(options.logs) / str(seed)), options)
        return bool(report.is_good)
    finally:
        servers.revive()
        system.close()


def _row(report) -> tuple[str, ...]:
    verdict = report.verdict
    lists = (verdict.lost, verdict.stuck, verdict.duplicated, verdict.unexpected, verdict.untold)
    return (
        str(report.seed),
        str(verdict.accepted),
        f"{len(report.faults)}: {report.kinds()}",
        f"{report.seconds:.0f}",
        str(len(verdict.completed)),
        str(len(verdict.failed)),
        *(str(len(each)) for each in lists),
        "no" if verdict.queues or not report.was_quiet else "yes",
    )


def _explain(report, logs: Path, options: argparse.Namespace) -> None:
    verdict = report.verdict
    for name in ("lost", "stuck", "duplicated", "unexpected", "untold", "queues"):
        for words in getattr(verdict, name)[:20]:
            print(f"    {name}: {words}")
    print(f"    logs: {logs}")
    sizes = f"--exports {options.exports} --faults {options.faults}"
    print(f"    again: make chaos ARGS='--seeds {report.seed} {sizes}'", flush=True)


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos ARGS=…", description=__doc__)
    parser.add_argument("--seeds", default="1-10", help="One seed, or from-to (1-10).")
    parser.add_argument("--exports", type=int, default=1_000, help="Per seed (1,000).")
    parser.add_argument("--faults", type=int, default=20, help="Per seed (20).")
    parser.add_argument("--markdown", help="Append each row to this file.")
    parser.add_argument("--logs", default="var/chaos", help="Where logs of a bad seed go.")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
