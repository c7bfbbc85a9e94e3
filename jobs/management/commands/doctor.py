"""`manage.py doctor`: what is wrong, and the command that mends it."""

from typing import Any

from django.core.management.base import CommandError

from jobs.doctor import Finding, Status, examine
from jobs.management.base import Row, TableCommand

MARKS = {Status.OK: "ok", Status.WARNING: "!!", Status.FAILED: "NO"}


class Command(TableCommand):
    help = "Look at everything this installation depends on; exit code 1 if something fails."
    #: A database that is away is a finding, and nothing that keeps the others from being made.
    requires_system_checks = ()

    def handle(self, **options: Any) -> None:
        findings = examine()
        if options["json"]:
            rows = [_row(name, finding) for name, finding in findings.items()]
            self.print_rows(rows, as_json=True, nothing="")
        else:
            for name, finding in findings.items():
                self._print(name, finding)
        failed = [name for name, finding in findings.items() if finding.status == Status.FAILED]
        if failed:
            raise CommandError(f"Not well: {', '.join(failed)}.")

    def _print(self, name: str, finding: Finding) -> None:
        latency = f"{finding.latency_ms:.0f} ms"
        self.stdout.write(f"{MARKS[finding.status]}  {name:<13} {latency:>8}  {finding.found}")
        if finding.remedy:
            self.stdout.write(f"    {'':<13} {'':>8}  -> {finding.remedy}")


def _row(name: str, finding: Finding) -> Row:
    return {
        "check": name,
        "status": finding.status.value,
        "found": finding.found,
        "remedy": finding.remedy,
        "latency_ms": finding.latency_ms,
    }
