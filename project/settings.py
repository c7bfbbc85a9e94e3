"""Every setting of the product, one section per concern; `docs/settings.md` explains them."""

from pathlib import Path

from project import env, schedule, topology
from project.logs import configure_logging

BASE_DIR = Path(__file__).resolve().parent.parent
#: What this installation writes: the embedded database, its files, private servers.
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var"))).resolve()

# --- Safety -------------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = env.text("SECRET_KEY", "insecure-key-for-a-laptop-only" if DEBUG else "")
if not SECRET_KEY:
    raise env.BadSetting("SECRET_KEY", "is empty and DEBUG is off", "fifty-random-characters")

ALLOWED_HOSTS = env.names("ALLOWED_HOSTS") or ["127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
HTTPS_ONLY = env.flag("HTTPS_ONLY", default=not DEBUG)
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS_ONLY
SECURE_HSTS_PRELOAD = HTTPS_ONLY
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY

# --- Applications -------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",  # Before the admin, whose templates it replaces.
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_celery_results",
    "ninja",
    "project.accounts",
    "project.workspace",
    "jobs",
    "exports",
    "notifications",
]

MIDDLEWARE = [
    "project.health.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "project.problems.ProblemMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "project.accounts.middleware.ActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- People and sessions ------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
SESSION_ENGINE = "project.accounts.sessions"
#: Browsers keep no cookie for longer than 400 days.
SESSION_COOKIE_AGE = env.number("SESSION_KEEP_SECONDS", 1_209_600, least=60, most=34_560_000)
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Database -----------------------------------------------------------------------------------

DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{VAR_DIR / 'offload.sqlite3'}")}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["CONN_MAX_AGE"] = 60
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    Path(DATABASES["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",  # A deferred one fails when it comes to write.
        "timeout": 30,  # Seconds that one writer waits for another.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    prepares = env.flag("DATABASE_PREPARED_STATEMENTS", default=True)
    #: Uses after which the engine's statements, and no others, are planned once for many.
    DATABASES["default"].setdefault("OPTIONS", {})["prepare_threshold"] = 5 if prepares else None
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Celery and RabbitMQ ------------------------------------------------------------------------

#: "embedded": queues in the memory of one process (`manage.py up`). "services": RabbitMQ.
CELERY_BROKER_URL = env.url(
    "CELERY_BROKER_URL",
    "memory://localhost/",
    schemes=("amqp", "amqps", "memory"),
    hostless=("memory",),
    example="amqp://user:password@127.0.0.1:5672//",
)
PROFILE = "embedded" if CELERY_BROKER_URL.startswith("memory") else "services"

#: For `doctor`, which asks it for bindings; else it is looked for where RabbitMQ has it.
RABBITMQ_MANAGEMENT_URL = env.optional_url(
    "RABBITMQ_MANAGEMENT_URL",
    schemes=("http", "https"),
    example="http://user:password@127.0.0.1:15672",
)

CELERY_TASK_QUEUES = (*topology.LANES, topology.DEAD_LETTERS)
CELERY_TASK_DEFAULT_QUEUE = "jobs"
CELERY_TASK_DEFAULT_EXCHANGE = topology.JOBS.name
CELERY_TASK_DEFAULT_EXCHANGE_TYPE = "topic"
CELERY_TASK_DEFAULT_ROUTING_KEY = "jobs.default"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_ACKS_ON_FAILURE = False  # A failure is rejected, so the broker dead-letters it.
CELERY_TASK_ACKS_ON_TIMEOUT = False
CELERY_TASK_REJECT_ON_WORKER_LOST = False
#: Seconds from a child's death to the rejection of its message, whose slot others wait for.
CELERY_WORKER_LOST_WAIT = 2.0
CELERY_RESULT_BACKEND = "django-db"  # For plain Celery tasks; jobs never write results.
CELERY_RESULT_EXTENDED = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"polling_interval": 0.02} if PROFILE == "embedded" else {"confirm_publish": True}
)
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONSUMER = "jobs.engine.worker:JobConsumer"
#: Celery's Django fixup closes the connection around every task, unless told how many share one.
CELERY_DB_REUSE_MAX = 1_000_000_000
CELERY_WORKER_SEND_TASK_EVENTS = env.flag("WORKER_SEND_TASK_EVENTS", default=True)
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = env.number("WORKER_SOFT_SHUTDOWN_SECONDS", 10)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "jobs.schedules.scheduler:Scheduler"

# --- Jobs: the engine ---------------------------------------------------------------------------

JOBS_LEASE_SECONDS = env.number("JOBS_LEASE_SECONDS", 60, least=2)
JOBS_HEARTBEAT_SECONDS = env.number("JOBS_HEARTBEAT_SECONDS", 10, least=1)
JOBS_RETRY_BASE_SECONDS = env.number("JOBS_RETRY_BASE_SECONDS", 10, least=1)
JOBS_RETRIES_MAX = env.number("JOBS_RETRIES_MAX", 3)
JOBS_LOSSES_MAX = env.number("JOBS_LOSSES_MAX", 10)
#: Escaped it may be six times as long, and RabbitMQ takes messages of 16 MiB.
JOBS_PAYLOAD_MAX_BYTES = env.number("JOBS_PAYLOAD_MAX_BYTES", 65_536, least=1_024, most=2_097_152)
#: PostgreSQL's JSON holds no list or object of 256 MiB.
JOBS_WORKFLOWS_RESULT_MAX_BYTES = env.number(
    "JOBS_WORKFLOWS_RESULT_MAX_BYTES", 1_048_576, least=1_024, most=67_108_864
)
JOBS_SOFT_LIMIT_SECONDS = env.number("JOBS_SOFT_LIMIT_SECONDS", 1_200, least=1)
JOBS_HARD_LIMIT_SECONDS = env.number("JOBS_HARD_LIMIT_SECONDS", 1_260, least=1, most=1_740)
JOBS_DATABASE_WAIT_SECONDS = env.number("JOBS_DATABASE_WAIT_SECONDS", 60)
#: A batch is in the relay's memory, payloads included.
JOBS_RELAY_BATCH_JOBS = env.number("JOBS_RELAY_BATCH_JOBS", 500, least=1, most=10_000)
JOBS_RELAY_POLL_SECONDS = env.number("JOBS_RELAY_POLL_SECONDS", 1, least=1)
JOBS_RECOVERY_INTERVAL_SECONDS = env.number("JOBS_RECOVERY_INTERVAL_SECONDS", 30, least=1)
JOBS_STALL_AFTER_SECONDS = env.number("JOBS_STALL_AFTER_SECONDS", 30, least=1)
JOBS_COPY_INTERVAL_SECONDS = env.number("JOBS_COPY_INTERVAL_SECONDS", 900, least=1)
JOBS_BROKER_TIMEOUT_SECONDS = env.number("JOBS_BROKER_TIMEOUT_SECONDS", 10, least=1)
JOBS_DEAD_LETTER_QUEUE = topology.DEAD_LETTERS
#: How long a type that no worker knows may be the fault of a deploy that is under way.
JOBS_UNKNOWN_TYPE_SECONDS = env.number("JOBS_UNKNOWN_TYPE_SECONDS", 600)
#: How long a failed job's dead letter may be on its way before the relay sends it.
JOBS_DEAD_LETTER_AFTER_SECONDS = env.number("JOBS_DEAD_LETTER_AFTER_SECONDS", 300, least=1)
#: Whose `name` the admin shows for a job's tenant; the engine itself knows the id alone.
JOBS_TENANT_MODEL = "accounts.Tenant"
#: The job type that tells tenants and people of events; empty: nobody is told.
JOBS_ANNOUNCE_TASK = "notifications.announce_event"
#: Modules with job types outside the installed apps' `tasks` modules.
JOBS_EXTRA_TASK_MODULES = env.names("JOBS_EXTRA_TASK_MODULES")
#: Jobs of one partition (a tenant, unless the type says otherwise) that are queued or running.
JOBS_LANE_IN_FLIGHT_MAX = {"exports": env.number("EXPORTS_IN_FLIGHT_MAX", 4, least=1)}
JOBS_IN_FLIGHT_MAX = env.number("JOBS_IN_FLIGHT_MAX", 100, least=1)

# --- Schedules, clean-up, metrics ---------------------------------------------------------------

#: The cron table that `manage.py sync_schedules` writes into the database.
JOBS_SCHEDULES = schedule.SCHEDULES
JOBS_KEEP_DAYS = env.number("JOBS_KEEP_DAYS", 30, least=1)
JOBS_DEAD_LETTERS_KEEP_DAYS = env.number("JOBS_DEAD_LETTERS_KEEP_DAYS", 90, least=1)
JOBS_SLOTS_KEEP_DAYS = env.number("JOBS_SLOTS_KEEP_DAYS", 90, least=1)
JOBS_WORKFLOWS_KEEP_DAYS = env.number("JOBS_WORKFLOWS_KEEP_DAYS", 90, least=1)
JOBS_RESULTS_KEEP_DAYS = env.number("JOBS_RESULTS_KEEP_DAYS", 7, least=1)
JOBS_HEALTH_KEEP_DAYS = env.number("JOBS_HEALTH_KEEP_DAYS", 30, least=1)
JOBS_EVENTS_KEEP_DAYS = env.number("JOBS_EVENTS_KEEP_DAYS", 400, least=2)
#: How long a transaction may last that records an event, before the aggregate could miss it.
JOBS_METRICS_OVERLAP_SECONDS = env.number("JOBS_METRICS_OVERLAP_SECONDS", 3_600, least=1)
ACCOUNTS_INVITATION_HOURS = env.number("ACCOUNTS_INVITATION_HOURS", 168, least=1)
ACCOUNTS_INVITATIONS_KEEP_DAYS = env.number("ACCOUNTS_INVITATIONS_KEEP_DAYS", 0)
WORKSPACE_ARCHIVE_AFTER_DAYS = env.number("WORKSPACE_ARCHIVE_AFTER_DAYS", 90, least=1)

# --- The embedded profile: `manage.py up` -------------------------------------------------------

JOBS_LOCK_FILE = VAR_DIR / "up.lock"  #: Held by the one process that may be up.
JOBS_UP_PAGES = {"Admin": "admin:index", "Sign in": LOGIN_URL, "API": "/api/v1/docs"}

# --- Exports ------------------------------------------------------------------------------------

EXPORTS_STORAGE_URL = env.url(
    "EXPORTS_STORAGE_URL",
    f"file://{VAR_DIR / 'exports'}",
    schemes=("file", "s3"),
    hostless=("file", "s3"),  # `store_from_url` looks for the folder or the bucket.
    example="s3://my-bucket",
)
EXPORTS_KEEP_DAYS = env.number("EXPORTS_KEEP_DAYS", 30, least=1)
#: From so many rows on an export is written in parts, by several workers.
EXPORTS_PARTS_FROM_ROWS = env.number("EXPORTS_PARTS_FROM_ROWS", 500_000, least=1)
EXPORTS_PART_ROWS = env.number("EXPORTS_PART_ROWS", 100_000, least=1)
EXPORTS_LINK_SECONDS = env.number("EXPORTS_LINK_SECONDS", 300, least=1, most=604_800)
EXPORTS_PROGRESS_SECONDS = env.number("EXPORTS_PROGRESS_SECONDS", 1, least=1)

# --- Mail ---------------------------------------------------------------------------------------

EMAIL_FILE_PATH = VAR_DIR / "mail"
vars().update(env.email("EMAIL_URL", f"filemail:///{EMAIL_FILE_PATH}"))
EMAIL_TIMEOUT = env.number("EMAIL_TIMEOUT_SECONDS", 10, least=1)
#: For a whole mail, whatever the server does: EMAIL_TIMEOUT is for each of its answers.
#: An alert's job, whose soft limit is 60 s, is under it too.
EMAIL_DEADLINE_SECONDS = env.number("EMAIL_DEADLINE_SECONDS", 30, least=1, most=50)
DEFAULT_FROM_EMAIL = env.mailbox("DEFAULT_FROM_EMAIL", "Offload <offload@localhost>")

# --- Notifications: mails and webhooks ----------------------------------------------------------

#: Where people find the product: the links in mails begin with it.
PUBLIC_URL = env.site("PUBLIC_URL", "http://127.0.0.1:8000")
#: Fernet keys of encrypted columns: the first encrypts, all decrypt. None: one of SECRET_KEY's.
SECRETS_KEYS = env.fernet_keys("SECRETS_KEYS")
#: For one attempt of a delivery in all: name, connection, TLS, answer.
NOTIFICATIONS_DELIVERY_SECONDS = env.number("NOTIFICATIONS_DELIVERY_SECONDS", 15, least=1, most=600)
NOTIFICATIONS_PORTS = env.ports("NOTIFICATIONS_PORTS", "443,8443")
#: Networks that webhooks may be sent to though they are private, by http and to any port.
NOTIFICATIONS_TRUSTED_NETWORKS = env.networks("NOTIFICATIONS_TRUSTED_NETWORKS")
NOTIFICATIONS_RETRY_AFTER_MAX_SECONDS = env.number(
    "NOTIFICATIONS_RETRY_AFTER_MAX_SECONDS", 3_600, least=1
)
NOTIFICATIONS_BREAKER_FAILURES = env.number("NOTIFICATIONS_BREAKER_FAILURES", 5, least=1)
NOTIFICATIONS_BREAKER_SECONDS = env.number("NOTIFICATIONS_BREAKER_SECONDS", 60, least=1)
NOTIFICATIONS_BREAKER_MAX_SECONDS = env.number("NOTIFICATIONS_BREAKER_MAX_SECONDS", 3_600, least=1)
NOTIFICATIONS_DISABLE_AFTER_DAYS = env.number("NOTIFICATIONS_DISABLE_AFTER_DAYS", 5, least=1)
#: Deliveries of one tenant that are under way at once: half of what the lane's worker has.
NOTIFICATIONS_TENANT_IN_FLIGHT_MAX = env.number("NOTIFICATIONS_TENANT_IN_FLIGHT_MAX", 4, least=1)
#: Mails under way at once, over all tenants: a mail server that hangs holds no more children.
NOTIFICATIONS_MAILS_IN_FLIGHT_MAX = env.number("NOTIFICATIONS_MAILS_IN_FLIGHT_MAX", 4, least=1)
JOBS_POOL_IN_FLIGHT_MAX = {"notifications.send_notification": NOTIFICATIONS_MAILS_IN_FLIGHT_MAX}
NOTIFICATIONS_SECRET_OVERLAP_HOURS = env.number("NOTIFICATIONS_SECRET_OVERLAP_HOURS", 24)
NOTIFICATIONS_ENDPOINTS_MAX = env.number("NOTIFICATIONS_ENDPOINTS_MAX", 20, least=1)
NOTIFICATIONS_KEEP_DAYS = env.number("NOTIFICATIONS_KEEP_DAYS", 90, least=1)

# --- Alerts -------------------------------------------------------------------------------------

ALERT_WEBHOOK_URL = env.optional_url(
    "ALERT_WEBHOOK_URL", schemes=("http", "https"), example="https://hooks.example.com/offload"
)
ALERT_EMAIL = env.addresses("ALERT_EMAIL", example="ops@example.com,oncall@example.com")
#: The least time between two alerts of one cause.
ALERTS_INTERVAL_SECONDS = env.number("ALERTS_INTERVAL_SECONDS", 900, least=1)
#: Below the soft limit of an alert's job, 60 s.
ALERTS_TIMEOUT_SECONDS = env.number("ALERTS_TIMEOUT_SECONDS", 10, least=1, most=50)
ALERTS_RELAY_LAG_SECONDS = env.number("ALERTS_RELAY_LAG_SECONDS", 60, least=1)
ALERTS_DEAD_LETTER_AGE_HOURS = env.number("ALERTS_DEAD_LETTER_AGE_HOURS", 24, least=1)
ALERTS_BEAT_SILENT_SECONDS = env.number("ALERTS_BEAT_SILENT_SECONDS", 60, least=15)
ALERTS_WATCH_SECONDS = env.number("ALERTS_WATCH_SECONDS", 30, least=1)

# --- Flower -------------------------------------------------------------------------------------

FLOWER_BASIC_AUTH = env.text("FLOWER_BASIC_AUTH")
FLOWER_ADDRESS = env.text("FLOWER_ADDRESS", "127.0.0.1:5555")

# --- Language, time, static files ---------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# --- Logs ---------------------------------------------------------------------------------------

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOG_FORMAT = env.choice("LOG_FORMAT", "text" if DEBUG else "json", ("text", "json"))
LOGGING_CONFIG = None
configure_logging(LOG_LEVEL, LOG_FORMAT)

# --- Admin --------------------------------------------------------------------------------------

UNFOLD = {
    "SITE_TITLE": "Offload",
    "SITE_HEADER": "Offload",
    "SITE_SUBHEADER": "Background jobs that lose nothing",
    "SHOW_HISTORY": True,
}
