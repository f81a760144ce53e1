# make demo          reads the pictures in examples/ with the embedded bundle (seconds)
# make demo-distill  the whole job in small: draw, train, distil, evaluate, export, read (minutes on 2 CPU cores)
# make test          every test; those of the page need Chromium: apt-get install chromium
# make lint          style, types and the import contracts
# make clean         removes what the others made
#
# Needs Python 3.11 or later; another one than python3: make demo PYTHON=python3.13

PYTHON ?= python3
BIN := .venv/bin
# Byte code is made at the first import of a module, not for all of torch at once.
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --no-compile \
	--constraint constraints/pinned.txt --editable
SOURCES := pyproject.toml constraints/pinned.txt

.PHONY: help demo demo-distill test lint clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: .venv/.base
	$(BIN)/python dev/demo.py

demo-distill: .venv/.train
	$(BIN)/python dev/demo_distill.py

test: .venv/.dev
	$(BIN)/python -m pytest -n 2

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python dev/lint_page.py

clean:
	rm -rf .venv demo build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("hanmo needs Python 3.11 or later, this is " \
		+ sys.version.split()[0] + "; try: make $(MAKECMDGOALS) PYTHON=python3.13")'
	$(PYTHON) -m venv .venv

.venv/.base: $(SOURCES) | $(BIN)/python
	@echo "Setting up .venv: numpy, Pillow, ONNX Runtime and the like; seconds, once."
	$(INSTALL) .
	@touch $@

.venv/.train: $(SOURCES) | $(BIN)/python
	@echo "Setting up .venv: PyTorch, ONNX Runtime and the like; about a minute, once."
	$(INSTALL) '.[train]'
	@touch $@

.venv/.dev: .venv/.train $(SOURCES)
	$(INSTALL) '.[train,serve,dev]'
	@touch $@
