# Needs python3 (3.11 or newer) and make, nothing else. Everything is installed into .venv and .cache.

PYTHON ?= python3
# Tests at the same time: most of them wait for processes.
JOBS ?= auto
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := .venv/$(SCRIPTS)
# Named after the interpreter: another one means another environment.
SETUP := .venv/.setup-$(notdir $(PYTHON))
NODE := .cache/node/.setup
SERVERS := $(patsubst tests/servers/%.lock,.cache/%/.setup,$(wildcard tests/servers/*.lock))
CHECKS := check-format check-rules check-types check-layers
INSTALL := -m pip install --quiet --disable-pip-version-check
PIP := $(BIN)/python $(INSTALL)
# A lock for every platform and every supported Python, without the address of an index.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
  --no-emit-package aegis-mcp-audit

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint $(CHECKS) format bench mutate lock clean

help: ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(SETUP) $(NODE) $(SERVERS) ## Install everything into .venv and .cache.

demo: $(SETUP) ## Show a real gateway at work, and its log.
	@$(BIN)/aegis-mcp demo

test: setup ## Run all tests; PYTEST_ARGS='tests/policy -x' for a part.
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(PYTEST_ARGS)

lint: $(CHECKS) ## Check format, rules, types and layers.

check-format: $(SETUP)
	@$(BIN)/ruff format --check .

check-rules: $(SETUP)
	@$(BIN)/ruff check .

check-types: $(SETUP)
	@$(BIN)/pyright

check-layers: $(SETUP)
	@$(BIN)/python -m pytest tests/house/test_layers.py

format: $(SETUP) ## Bring the code into its format.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(SETUP) ## Measure the gateway and the verifier.
	@$(BIN)/python scripts/bench_gateway.py
	@$(BIN)/python scripts/bench_verify.py

mutate: $(SETUP) ## Change the verifier in thousands of ways, and see that a test fails.
	@$(BIN)/python scripts/mutate.py --jobs 2

lock: ## Resolve all locks anew; needs uv.
	$(COMPILE) -o requirements.lock aegis_audit/pyproject.toml aegis_mcp/pyproject.toml
	$(COMPILE) -o requirements-dev.lock -c requirements.lock requirements-dev.in aegis_audit/pyproject.toml aegis_mcp/pyproject.toml
	$(foreach input,$(wildcard tests/servers/*.in),$(COMPILE) -o $(input:.in=.lock) $(input) &&) true

clean: ## Remove what was installed.
	rm -rf .venv .cache

$(SETUP): requirements-dev.lock aegis_audit/pyproject.toml aegis_mcp/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Aegis needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@echo "setting up .venv (once)"
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation -e aegis_audit -e aegis_mcp
	@touch $@

# The published servers and clients that tests drive. Without Node.js those tests are skipped and say so; nothing else needs
# them. No script of a package runs: what needs a newer Node.js than the system's gets the one that npm has as a package.
$(NODE): tests/node/package.json
	@mkdir -p $(@D) && cp $< $(@D)/package.json
	@if ! command -v npm >/dev/null; then echo "npm is missing: tests that need Node.js are skipped"; \
	elif npm install --prefix $(@D) --silent --no-package-lock --no-audit --no-fund --ignore-scripts; then touch $@; \
	else echo "npm could not install the servers: tests that need them are skipped"; fi

# Each server has an environment of its own: what it depends on is not ours to choose.
$(SERVERS): .cache/%/.setup: tests/servers/%.lock
	@echo "setting up $(@D) (once)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/$(SCRIPTS)/python $(INSTALL) --require-hashes -r $<
	@touch $@
