from django.apps import AppConfig


class WorkspaceConfig(AppConfig):
    name = "project.workspace"
    label = "workspace"
