from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"

    def ready(self) -> None:
        # A module level import would need the models before they are loaded.
        from jobs.doctor import register
        from notifications.doctor import secrets_are_readable

        register("secrets", secrets_are_readable)
