# Two commands for a fresh machine with Python 3.11+, git and make:
#   make quickstart   set up and run the whole path on the embedded data
#   make test         set up and run every check
# Each makes its own virtual environment (VENV) when there is none.

PYTHON ?= python3
VENV ?= .venv
# A built wheel to test instead of the checkout (used by CI).
WHEEL ?=
# Processes that run the tests.
WORKERS ?= auto
SOURCE := $(if $(WHEEL),$(WHEEL),.)
BIN := $(VENV)/bin
PACKAGES := toolkit models reports cli datasets_manifest
LINKS := build/typecheck/hmrtk

.PHONY: quickstart test lint typecheck unit wheel clean

quickstart: $(VENV)/.hmrtk
	$(BIN)/hmrtk quickstart

test: lint typecheck unit

lint: $(VENV)/.hmrtk-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The folders are mapped into the namespace hmrtk.*; mypy sees that mapping through links.
typecheck: $(VENV)/.hmrtk-dev
	rm -rf $(LINKS) && mkdir -p $(LINKS)
	for package in $(PACKAGES); do ln -s ../../../$$package $(LINKS)/$$package; done
	cd build/typecheck && "$(abspath $(BIN))/mypy" --config-file ../../pyproject.toml $(PACKAGES:%=-p hmrtk.%)

unit: $(VENV)/.hmrtk-dev
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

wheel: $(VENV)/.hmrtk-dev
	$(BIN)/python -m build --outdir dist .

# The package is installed as users get it; a change in the checkout installs it again.
INPUTS := $(shell find $(PACKAGES) -type f -not -path '*/__pycache__/*') setup.cfg pyproject.toml

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.hmrtk: $(VENV)/bin/pip $(INPUTS)
	rm -rf build/lib build/bdist.*
	$(BIN)/pip install --quiet "$(SOURCE)"
	$(BIN)/pip install --quiet --force-reinstall --no-deps "$(SOURCE)"
	touch $@

$(VENV)/.hmrtk-dev: $(VENV)/bin/pip $(INPUTS)
	rm -rf build/lib build/bdist.*
	$(BIN)/pip install --quiet "$(SOURCE)[dev]"
	$(BIN)/pip install --quiet --force-reinstall --no-deps "$(SOURCE)"
	touch $@ $(VENV)/.hmrtk

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
