FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN groupadd --gid 1000 offload \
    && useradd --uid 1000 --gid offload --create-home --shell /usr/sbin/nologin offload

WORKDIR /app
COPY requirements.txt .
RUN pip install --require-hashes -r requirements.txt

COPY . .
# Static files are part of the image. Exports lie on a volume, which takes the owner of this folder.
RUN SECRET_KEY=used-only-while-building python manage.py collectstatic --noinput \
    && mkdir -p var/exports var/mail \
    && chown -R offload:offload var

USER offload
EXPOSE 8000
CMD ["gunicorn", "project.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--threads", "8", "--no-control-socket"]
