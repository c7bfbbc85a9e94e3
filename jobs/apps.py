"""Loads every job type into every process: the web and the relay apply the types' hooks too."""

from importlib import import_module

from celery.signals import worker_process_init, worker_ready
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import register
from django.utils.module_loading import autodiscover_modules


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        autodiscover_modules("tasks")
        autodiscover_modules("workflows")
        for module in settings.JOBS_EXTRA_TASK_MODULES:
            _load(module)
        # A module level import would need the models before they are loaded.
        from jobs import registry
        from jobs.alerts.watch import watch
        from jobs.checks import check_settings
        from jobs.engine import stopping
        from jobs.schedules import signals
        from jobs.schedules.alerts import tell_of_failed_job
        from jobs.workflows import sweep

        signals.connect()
        sweep.register()
        registry.on_failure(tell_of_failed_job)
        register(check_settings)
        worker_process_init.connect(stopping.listen, dispatch_uid="jobs.stopping")
        worker_process_init.connect(watch, dispatch_uid="jobs.watch")
        if settings.PROFILE == "embedded":
            # Its worker has threads, and no child to be initialised.
            worker_ready.connect(watch, dispatch_uid="jobs.watch")


def _load(module: str) -> None:
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        name = "JOBS_EXTRA_TASK_MODULES"
        raise SystemExit(f"{name}: {error}. Example: {name}=reports.tasks,invoices.tasks") from None
