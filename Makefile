# The two commands of the README are `make demo` and `make test`; each sets up .venv by itself.
PYTHON ?= python3.11
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast torture check audit docs lock

help:
	@echo "make demo       fit on noisy, rare digits, and the same against plain training: two reports (2 minutes)"
	@echo "make test       all tests"
	@echo "make test-fast  all but the slow ones"
	@echo "make torture    fits of eight methods and a comparison, killed 1,000 times (half an hour)"
	@echo "make check      ruff and mypy"
	@echo "make audit      known holes of the locked versions, where the advisory service can be asked"
	@echo "make docs       docs/reference, from the code"
	@echo "make setup      only .venv, with the locked versions"

setup: .venv/.done

.venv/.done: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not there; name another with make PYTHON=python3.12"; exit 2; }
	@echo "setting up .venv with the locked versions (a few minutes, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@$(BIN)/skedastic fit --config examples/fit.toml --out runs/demo --force
	@$(BIN)/skedastic compare --config examples/fit.toml --out runs/demo-compare --force

test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2  # a thread for each worker: more would be in each other's way

test-fast: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

torture: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m torture tests/reliability

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

audit: # in a .venv of its own, since it needs many packages
	@$(PYTHON) .ci/audit.py requirements.lock

docs: setup
	@$(BIN)/python -m docs.generate

lock: # writes requirements.lock again from pyproject.toml; torch stays where it is pinned
	@$(PYTHON) -m venv .lock && .lock/bin/python -m pip install --quiet torch==2.13.0
	@.lock/bin/python -m pip install --quiet --editable '.[dev]' hatchling editables
	@.lock/bin/python -m pip freeze --all --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu$$//' > requirements.lock
	@rm -rf .lock
