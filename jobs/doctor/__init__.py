"""What is wrong with this installation, and the command that mends it."""

from jobs.doctor.findings import Finding, Status
from jobs.doctor.registry import examine, register

__all__ = ["Finding", "Status", "examine", "register"]
