from django.apps import AppConfig
from django.core import checks


class NotificationsConfig(AppConfig):
    name = "notifications"

    def ready(self) -> None:
        # A module level import would need the models before they are loaded.
        from jobs.doctor import register
        from notifications.checks import check_settings
        from notifications.doctor import secrets_are_readable

        register("secrets", secrets_are_readable)
        checks.register(check_settings)
