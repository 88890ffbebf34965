# The command `trioqueue` with every extra, as a user without rights, and an example application.
# For your own:  FROM trioqueue  /  COPY app /app/app  /  CMD ["run", "app.jobs:tasks", ...]

FROM python:3.13.9-slim-trixie AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY trioqueue trioqueue
RUN python -m venv /opt/venv \
    && pip wheel --no-cache-dir --wheel-dir /wheels ".[all]" \
    && /opt/venv/bin/pip install --no-cache-dir --no-index --find-links /wheels "trioqueue[all]"

FROM python:3.13.9-slim-trixie
LABEL org.opencontainers.image.title="trioqueue" \
      org.opencontainers.image.description="Workers and the page of trioqueue, a task queue on Trio" \
      org.opencontainers.image.licenses="MIT"
# A fixed number, so that what is mounted can be made readable for it; no home, no shell.
RUN groupadd --gid 10001 trioqueue \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin trioqueue
COPY --from=build /opt/venv /opt/venv
# Nothing is written into the image while it runs, so its root may be read-only.
ENV PATH="/opt/venv/bin:/usr/local/bin:/usr/bin:/bin" \
    PYTHONDONTWRITEBYTECODE="1" \
    PYTHONUNBUFFERED="1"
WORKDIR /app
COPY deploy/jobs.py jobs.py
USER 10001:10001
EXPOSE 9100 8080
STOPSIGNAL SIGTERM
# Longer than the 4 s that the command takes at the most.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
    CMD ["trioqueue", "health"]
ENTRYPOINT ["trioqueue"]
CMD ["run", "jobs:tasks", "--listen", "0.0.0.0:9100"]
