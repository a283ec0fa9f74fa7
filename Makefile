# Every command sets up all that it needs; on a fresh machine Python 3.11 or newer, git and make are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check bench clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 16

demo: $(VENV)/.ready-to-run ## open the quickstart in JupyterLab; ARGS="--no-browser --port 9999" are passed on
	$(BIN)/python -m fmwidget $(ARGS)

test: check ## lint, types, unit tests, notebooks, JupyterLab in Chromium; ARGS go to pytest
	$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: check ## `make test` and the slow tests
	$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.ready-to-test ## ruff and mypy only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.ready-to-test ## measure every interaction, in the kernel and in Chromium; ARGS=--quick is shorter and writes nothing
	$(BIN)/python -m tests.browser.chromium
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m benchmarks $(ARGS)

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist screenshots

# Installed anew when pyproject.toml changed, else left alone.
$(VENV)/.ready-to-run: pyproject.toml | $(VENV)/.created
	@echo "Installing fmwidget into $(VENV) (the first time takes a few minutes) ..."
	$(PIP) install --editable .
	@touch $@

$(VENV)/.ready-to-test: pyproject.toml | $(VENV)/.created
	@echo "Installing fmwidget and its development tools into $(VENV) (the first time takes a few minutes) ..."
	$(PIP) install --editable ".[dev]"
	@touch $@ $(VENV)/.ready-to-run

# Debian and Ubuntu ship the module that creates virtual environments as a separate package.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'fmwidget needs Python 3.11 or newer: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	    { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -qy python3-venv; } || \
	    { echo '$(PYTHON) cannot create virtual environments: sudo apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
