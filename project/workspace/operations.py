"""Writes the demonstration: people, tenants, projects and items, each only where it is missing."""

from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from project.accounts.models import Membership, Tenant, User
from project.workspace.demo.items import demo_id, digest_of, item_at, item_id
from project.workspace.demo.loading import load_items
from project.workspace.demo.people import OPERATOR, DemoPerson, DemoTenant
from project.workspace.models import Item, Project

#: Rows per transaction: few enough to lose on Ctrl-C, many enough to make COPY worthwhile.
CHUNK_ROWS = 20_000


def seed_person(*, person: DemoPerson, password: str, force_password: bool) -> User:
    """Create the person; one who exists keeps their password unless told otherwise."""
    powers = {"is_staff": True, "is_superuser": True} if person == OPERATOR else {}
    user, created = User.objects.get_or_create(
        email=person.email,
        defaults={"id": demo_id(digest_of("user", person.email)), "name": person.name, **powers},
    )
    if created or force_password:
        user.set_password(password)
        user.save(update_fields=["password"])
    return user


@transaction.atomic
def seed_tenant(*, demo: DemoTenant, password: str, force_password: bool) -> Tenant:
    """Create the tenant with its people and projects; change nothing that exists."""
    tenant, _ = Tenant.objects.get_or_create(
        slug=demo.slug, defaults={"id": demo_id(digest_of(demo.slug)), "name": demo.name}
    )
    for person in (*demo.people, OPERATOR):
        user = seed_person(person=person, password=password, force_password=force_password)
        Membership.objects.get_or_create(tenant=tenant, user=user, defaults={"role": person.role})
    for number, name in enumerate(demo.projects):
        new_id = demo_id(digest_of(demo.slug, "project", name), number)
        Project.objects.get_or_create(tenant=tenant, name=name, defaults={"id": new_id})
    return tenant


def seed_items(
    *, demo: DemoTenant, tenant: Tenant, count: int, on_rows: Callable[[int], None] = lambda _: None
) -> int:
    """
    Give the tenant its items 0 to `count`; return how many were missing.

    May run again and while another one runs: each chunk is a transaction that first locks the
    tenant and then writes only what is not there. Calls `on_rows` with the size of each chunk.
    """
    by_name = dict(Project.objects.filter(tenant=tenant).values_list("name", "id"))
    projects = [by_name[name] for name in demo.projects]
    created = 0
    for start in range(0, count, CHUNK_ROWS):
        numbers = range(start, min(start + CHUNK_ROWS, count))
        created += seed_chunk(demo, tenant, projects, numbers)
        on_rows(len(numbers))
    return created


@transaction.atomic
def seed_chunk(demo: DemoTenant, tenant: Tenant, projects: list[UUID], numbers: range) -> int:
    # The lock makes a second seeding wait; it would else believe the same rows to be missing.
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    bounds = item_id(demo, numbers[0]), item_id(demo, numbers[-1])
    stored = set(Item.objects.filter(tenant=tenant, id__range=bounds).values_list("id", flat=True))
    missing = [n for n in numbers if item_id(demo, n) not in stored] if stored else numbers
    # Rows are made while they are sent, so that this process and the database work side by side.
    rows = (item_at(demo, number) for number in missing)
    load_items(rows, tenant_id=tenant.pk, projects=projects)
    return len(missing)
