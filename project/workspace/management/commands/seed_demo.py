"""`manage.py seed_demo`: two tenants with people, projects and items."""

import json
import secrets
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from project.accounts.models import Tenant, User
from project.workspace.demo.people import OPERATOR, TENANTS, DemoTenant
from project.workspace.operations import seed_items, seed_tenant

#: Below this the command is done before a bar could be read.
BAR_FROM_ITEMS = 20_000


class Command(BaseCommand):
    help = "Create two tenants with people, projects and items. Safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--items", type=int, default=2_000, help="Items of both tenants together (2000)."
        )
        parser.add_argument(
            "--password", help="Everybody's password; also set anew where people exist already."
        )
        parser.add_argument("--json", action="store_true", help="Print the outcome as JSON.")

    def handle(self, *args: Any, items: int, password: str | None, **options: Any) -> None:
        if items < 0:
            raise CommandError("--items: a number of items is not negative.")
        new_people = not User.objects.filter(email=OPERATOR.email).exists()
        chosen = password or secrets.token_urlsafe(12)
        with transaction.atomic():  # All people or none: one password is printed for them.
            tenants = [
                seed_tenant(demo=demo, password=chosen, force_password=bool(password))
                for demo in TENANTS
            ]
        created = seed_with_bar(tenants, items)
        outcome = {
            "tenants": [describe(*pair) for pair in zip(TENANTS, tenants, strict=True)],
            "admin": OPERATOR.email,
            "password": chosen if password or new_people else None,
            "items_created": created,
        }
        self.stdout.write(json.dumps(outcome, indent=2) if options["json"] else in_words(outcome))


def seed_with_bar(tenants: list[Tenant], items: int) -> int:
    columns = (TextColumn("Items"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = items < BAR_FROM_ITEMS or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden) as progress:
        bar = progress.add_task("Items", total=items)
        return sum(
            seed_items(
                demo=demo,
                tenant=tenant,
                count=share(items, number),
                on_rows=lambda rows: progress.advance(bar, rows),
            )
            for number, (demo, tenant) in enumerate(zip(TENANTS, tenants, strict=True))
        )


def share(items: int, number: int) -> int:
    """Return how many of the items the tenant of this number gets; the first gets the odd one."""
    return (items + len(TENANTS) - 1 - number) // len(TENANTS)


def describe(demo: DemoTenant, tenant: Tenant) -> dict[str, Any]:
    return {
        "id": str(tenant.pk),
        "slug": tenant.slug,
        "name": tenant.name,
        "people": [{"email": person.email, "role": person.role} for person in demo.people],
        "items": tenant.items.count(),
    }


def in_words(outcome: dict[str, Any]) -> str:
    lines = [f"{outcome['items_created']:,} items created."]
    for tenant in outcome["tenants"]:
        people = ", ".join(f"{person['email']} ({person['role']})" for person in tenant["people"])
        lines.append(f"{tenant['name']}: {tenant['items']:,} items; {people}")
    lines.append(f"Admin: {outcome['admin']}")
    lines.append(f"Password of all: {outcome['password'] or 'as set when they were created'}")
    return "\n".join(lines)
