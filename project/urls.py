"""Every route of the product."""

from django.contrib import admin
from django.urls import include, path

from project.api import api

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("", include("project.accounts.urls")),
]
