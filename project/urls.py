"""Every route of the product."""

from django.contrib import admin
from django.urls import include, path

from project.api import api
from project.scheduled import run_schedule

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("__scheduled", run_schedule),
    path("", include("project.accounts.urls")),
]
