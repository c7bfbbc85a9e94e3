"""`python -m tests.harness.prepare`: makes the database that every system's own is copied from."""

import json
import sys

import django
from django.core.management import call_command
from django.db import connection

#: Where test tasks leave their effects: no key, so that an effect that came twice shows.
EFFECTS = """
CREATE TABLE test_effects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    label text NOT NULL,
    job_id uuid,
    attempt integer,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


def main() -> None:
    """Migrate, collect the static files, create the people and print them as JSON."""
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    from tests.harness.people import create_people

    with connection.cursor() as cursor:
        cursor.execute(EFFECTS)
    json.dump(create_people().to_json(), sys.stdout)


if __name__ == "__main__":
    main()
