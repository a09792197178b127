# Needs python3 (3.11 or newer) and make, nothing else. Everything is installed into .venv and .cache.

PYTHON ?= python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
SETUP := .venv/.setup
NODE := .cache/node/.setup

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench lock clean

help: ## Say what can be made.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(SETUP) $(NODE) ## Install everything into .venv and .cache.

demo: $(SETUP) ## Show a real gateway at work, and its log.
	@$(BIN)/aegis-mcp demo

test: setup ## Run all tests.
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(SETUP) ## Check format, rules, types and layers.
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/python -m pytest tests/house/test_layers.py

format: $(SETUP) ## Bring the code into its format.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(SETUP) ## Measure the gateway and the verifier.
	@$(BIN)/python scripts/bench_gateway.py
	@$(BIN)/python scripts/bench_verify.py

lock: ## Resolve requirements-dev.lock anew; needs uv.
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --no-emit-package aegis-mcp-audit -o requirements-dev.lock requirements-dev.in aegis_audit/pyproject.toml aegis_mcp/pyproject.toml

clean: ## Remove what was installed.
	rm -rf .venv .cache

$(SETUP): requirements-dev.lock aegis_audit/pyproject.toml aegis_mcp/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Aegis needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@echo "setting up .venv (once)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e aegis_audit -e aegis_mcp
	@touch $@

# The published servers that tests drive; without npm those tests are skipped and say so.
$(NODE): tests/node/package.json
	@mkdir -p $(@D)
	@if command -v npm >/dev/null; then \
	  cp $< $(@D)/package.json && npm install --prefix $(@D) --silent --no-package-lock --no-audit --no-fund --ignore-scripts; \
	else echo "npm is missing: tests that need Node.js are skipped"; fi
	@touch $@
