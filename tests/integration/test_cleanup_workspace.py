"""The nightly archiving of projects that nobody has touched."""

from datetime import timedelta
from functools import partial

import pytest
from django.urls import reverse
from django.utils import timezone

from project.workspace import archiving
from project.workspace.archiving import archive_projects
from project.workspace.models import Item, Project
from project.workspace.tasks import archive_projects as part
from tests.cleaning import meanwhile, run_part
from tests.deliveries import at_once
from tests.people import make_tenant, make_user

NOW = timezone.now()
BOUNDARY = NOW - timedelta(days=90)
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def make_project():
    tenant = make_tenant()

    def make_project(name, *, touched=BOUNDARY - INSTANT, items=()):
        project = Project.objects.create(tenant=tenant, name=name)
        Project.objects.filter(pk=project.pk).update(updated_at=touched)
        for number, moment in enumerate(items):
            sku = f"{name}-{number}"
            item = Item.objects.create(tenant=tenant, project=project, sku=sku, name=sku)
            Item.objects.filter(pk=item.pk).update(updated_at=moment)
        return Project.objects.get(pk=project.pk)

    return make_project


def archived():
    projects = Project.objects.exclude(archived_at=None)
    return set(projects.values_list("name", flat=True))


@pytest.mark.django_db
class TestArchiveProjects:
    def test_archives_what_nobody_has_touched(self, make_project):
        make_project("empty")
        make_project("with old items", items=[BOUNDARY - INSTANT, NOW - timedelta(days=400)])
        make_project("touched", touched=BOUNDARY)
        make_project("with a touched item", items=[BOUNDARY - INSTANT, BOUNDARY])

        run_part(part, at=NOW)

        assert archived() == {"empty", "with old items"}

    def test_deletes_and_touches_nothing(self, make_project):
        before = make_project("old", items=[BOUNDARY - INSTANT])

        archive_projects(now=NOW)

        after = Project.objects.get()
        assert (after.archived_at, after.updated_at) == (NOW, before.updated_at)
        assert Item.objects.get().updated_at == BOUNDARY - INSTANT

    def test_leaves_the_date_of_what_is_archived_already(self, make_project):
        make_project("old")
        archive_projects(now=NOW)

        assert archive_projects(now=NOW + timedelta(days=1)) == 0
        assert Project.objects.get().archived_at == NOW

    def test_leaves_what_was_brought_back(self, make_project):
        project = make_project("old")
        archive_projects(now=NOW)
        project.archived_at = None
        project.save()

        assert archive_projects(now=NOW) == 0


@pytest.mark.django_db(transaction=True)
class TestArchivingAtTheSameTime:
    def test_leaves_a_project_that_is_touched_meanwhile(self, make_project):
        project = make_project("old")

        with meanwhile(project.save):
            assert archive_projects(now=NOW) == 0
        assert archive_projects(now=NOW) == 0
        assert archived() == set()

    def test_archives_each_once(self, make_project, monkeypatch):
        monkeypatch.setattr(archiving, "BATCH_PROJECTS", 2)
        for number in range(12):
            make_project(f"old {number}")
        archive = partial(archive_projects, now=NOW)

        assert sum(at_once(archive, archive)) == 12


@pytest.mark.django_db
class TestTheAdmin:
    def test_shows_and_filters_what_is_archived(self, client, make_project):
        make_project("Forgotten")
        make_project("In use", touched=NOW)
        archive_projects(now=NOW)
        client.force_login(make_user("ops@acme.example", is_staff=True, is_superuser=True))
        address = reverse("admin:workspace_project_changelist")

        page = client.get(address, {"archived_at__isempty": "0"}, secure=True)

        assert "Forgotten" in page.text
        assert "In use" not in page.text
        assert page.context["cl"].list_display[-1] == "archived_at"
