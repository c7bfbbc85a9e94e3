"""An extra task module without tasks: its process says when it connects to the database."""

from tests.harness.deaths import say_who_connects

say_who_connects()
