"""Turns every log record, of ours and of libraries, into one line: for people or as JSON."""

import logging.config
from typing import Any

import structlog


def without_arguments(_: Any, __: str, event: Any) -> Any:
    """
    Leave out the arguments that Celery adds to its lines of a task: they may hold secrets.

    The engine's own lines have the payload as the ledger keeps it.
    """
    data = event.get("data")
    if isinstance(data, dict):
        event["data"] = {name: data[name] for name in data if name not in ("args", "kwargs")}
    return event


SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
    without_arguments,
]


TEXT = structlog.dev.ConsoleRenderer(
    colors=False, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
)


#: Celery's line of each task that succeeded or was ignored: the engine says it of its jobs.
SAID_TWICE = ("celery.app.trace",)

#: The HTTP client's line of each request has the whole address, and with it a webhook's secret.
SAYS_SECRETS = ("httpx2", "httpcore2")


def configure_logging(level: str, style: str) -> None:
    """Send all records to standard error in one style, `text` or `json`."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": _formatter, "style": style}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "loggers": {name: {"level": "WARNING"} for name in (*SAID_TWICE, *SAYS_SECRETS)},
            "root": {"handlers": ["stderr"], "level": level},
        }
    )


def _formatter(style: str) -> logging.Formatter:
    last = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if style == "json"
        else [TEXT]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
