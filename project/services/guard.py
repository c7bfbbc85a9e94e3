"""`python -m project.services.guard RUN`: ends a run's servers when their owner has died."""

import sys
from pathlib import Path

from project.services.runs import guard_run

if __name__ == "__main__":
    guard_run(Path(sys.argv[1]))
