"""`python -m project.demo`: takes the tour and ends with 0, or says what went wrong."""

import signal
import sys
from http.client import HTTPException
from types import FrameType

from project.demo.person import Refused
from project.demo.product import Product
from project.demo.screen import Screen
from project.demo.tour import take_tour
from project.services import ServiceFailed


def main() -> int:
    signal.signal(signal.SIGTERM, _stop)
    screen = Screen()
    product = Product()
    try:
        take_tour(screen, product)
    except (Refused, ServiceFailed, OSError, HTTPException, ValueError) as fault:
        print(f"\n{fault}\n\nThe end of the log:\n{product.log_tail()}", file=sys.stderr)
        return 1
    finally:
        product.close()
    screen.say(f"The tour took {screen.seconds:.0f} s. `make up` keeps the product running.")
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, by way of `finally`."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("The tour was stopped.")
