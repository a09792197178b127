# Both commands in one small image; neither runs as root.
FROM python:3.13-slim AS build
WORKDIR /src
# The build backend, from the lock with its hashes; only the two wheels leave this stage.
COPY requirements-dev.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --requirement requirements-dev.lock
COPY aegis_audit ./aegis_audit
COPY aegis_mcp ./aegis_mcp
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels ./aegis_audit ./aegis_mcp

FROM python:3.13-slim AS install
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/aegis \
    && /opt/aegis/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY --from=build /wheels /wheels
RUN /opt/aegis/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
    && /opt/aegis/bin/pip check

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 aegis
COPY --from=install /opt/aegis /opt/aegis
ENV PATH=/opt/aegis/bin:$PATH
USER 10001
WORKDIR /home/aegis
ENTRYPOINT ["aegis-mcp"]
