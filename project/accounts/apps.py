from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "project.accounts"
    label = "accounts"

    def ready(self) -> None:
        from project.accounts import signals  # noqa: F401 - Connects the receivers.
        from project.accounts.unlogged import hide_tokens

        hide_tokens()
