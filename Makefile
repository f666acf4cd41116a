# Two commands on a fresh machine: `make demo` runs the main job, `make test` passes the tests. Each sets up what it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo-output
SITE ?= site
PROCESSES ?= auto
PIP := $(BIN)/python -m pip --disable-pip-version-check
export RAY_USAGE_STATS_ENABLED ?= 0
export MLFLOW_DISABLE_TELEMETRY ?= true

.PHONY: help install install-dev system-packages demo docs tutorials test lint bench dist clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -e . -c constraints.txt
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -e '.[dev,docs,serve]' -c constraints.txt
	@touch $@ $(VENV)/.installed $(VENV)/.installed-docs

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -e '.[docs]' -c constraints.txt
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed ## the program in .venv

install-dev: $(VENV)/.installed-dev ## the program and the tools of its developers in .venv

system-packages: ## SLURM and Chromium for the tests that use the real ones (Debian, as root; skipped elsewhere)
	@bash .ci/system-packages

demo: install ## catalog -> training -> solved PDFs -> report, at most 4 minutes after installation
	$(BIN)/python examples/demo.py --out $(DEMO)

docs: $(VENV)/.installed-docs ## the documentation as a site, site/index.html; a warning is an error
	$(BIN)/python -m sphinx -b html --fail-on-warning --keep-going --quiet docs $(SITE)
	@echo "Open $(SITE)/index.html"

tutorials: $(VENV)/.installed-docs ## run the tutorials and keep what they print in the notebooks (minutes)
	$(BIN)/python docs/tutorials/run.py --write

test: install-dev system-packages lint ## lint, types, import contracts and all tests, in PROCESSES processes (as many as cores, four at most)
	$(BIN)/python -m pytest -n $(PROCESSES)

lint: install-dev ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install-dev ## every speed claim, ours beside the peer
	$(PIP) install --quiet -e '.[bench]' -c constraints.txt
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

dist: install-dev ## sdist and wheel in dist/, built twice: the bytes must be the same
	@rm -rf dist build/again
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir dist
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir build/again > /dev/null
	@cd dist && sha256sum * > ../build/again/sums && cd ../build/again && sha256sum --check sums

clean: ## remove what was built here
	rm -rf $(DEMO) $(SITE) docs/reference/generated build dist .pytest_cache .mypy_cache .ruff_cache
