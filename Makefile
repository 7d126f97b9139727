# Needs Python 3.11 or newer, pip and make; everything else goes into .venv.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all judges reference check format lint wheel floors types bench clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## a virtual environment in .venv with netdsl and what its tests need

demo: .venv/ready  ## train a network on real handwritten digits, from examples/digits.net
	$(BIN)/netdsl train examples/digits.net

test: .venv/ready  ## the tests, without the slow ones
	$(BIN)/pytest -n $(WORKERS)

test-all: .venv/ready  ## the tests, with the slow ones
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m ''

judges: .venv/ready  ## PyTorch and ONNX, against which some tests compare
	$(BIN)/pip install --quiet torch==2.13.0 onnx

check: .venv-check/ready  ## format, lint, types, and imports that go down the floors only
	@$(MAKE) --no-print-directory --keep-going format lint floors types

format: .venv-check/ready
	.venv-check/bin/ruff format --check

lint: .venv-check/ready
	.venv-check/bin/ruff check --output-format concise

# Floors and types are checked on an installed wheel, from outside the root: only there is
# netdsl.backends where it belongs.
wheel: .venv-check/ready
	@rm -rf build .venv-check/wheel
	@.venv-check/bin/pip install --quiet --no-deps --no-build-isolation --target .venv-check/wheel .
	@rm -rf build
	@cp pyproject.toml .venv-check/wheel/

floors: wheel
	cd .venv-check/wheel && ../bin/lint-imports

types: wheel
	cd .venv-check/wheel && ../bin/pyright --pythonpath ../bin/python

reference: .venv/ready  ## the pages and pictures in docs/ that are made from the sources
	PYTHONPATH=scripts $(BIN)/python -m reference

bench: .venv/ready  ## measure the speed, side by side with the peers that are installed
	$(BIN)/python benchmarks speed

clean:  ## remove all that make has made, but not the runs
	rm -rf .venv .venv-check build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: pyproject.toml scripts/venv scripts/graphviz
	@echo "setting up .venv: this takes a minute, once"
	sh scripts/venv .venv "$(PYTHON)"
	$(BIN)/pip install --quiet --editable '.[data,test]'
	sh scripts/graphviz
	@touch $@

.venv-check/ready: pyproject.toml scripts/venv
	sh scripts/venv .venv-check "$(PYTHON)"
	.venv-check/bin/pip install --quiet 'setuptools>=77' '.[data,dev,test]'
	.venv-check/bin/pip uninstall --quiet --yes netdsl
	@rm -rf build
	@touch $@
