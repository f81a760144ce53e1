# make demo          reads the pictures in examples/ with the embedded bundle (seconds)
# make demo-distill  the whole job in small: draw, train, distil, evaluate, export, read (minutes on 2 CPU cores)
# make test          every test; says first what will be skipped here, and why
#                    with the tests over a Ray cluster, for which it installs Ray (80 MB): make test RAY=1
# make test-quick    the fast tests: no training, no browser (about a minute on 2 CPU cores)
# make soak          the long attacks and runs, which `make test` leaves out (some ten minutes on 2 CPU cores)
# make coverage      every test, and which lines they run: build/coverage/index.html
# make lint          style, types and the import contracts
# make audit         known weaknesses of the pinned packages (reads the network)
# make sbom          the packages of an installation as CycloneDX: build/sbom.json; of extras: make sbom EXTRAS=serve,train
# make docs          the documents as a site, with an API reference: build/site/index.html
# make docs-serve    the same, served on http://127.0.0.1:8080
# make clean         removes what the others made
#
# Needs Python 3.11 or later; another one than python3: make demo PYTHON=python3.13

PYTHON ?= python3
BIN := .venv/bin
# Byte code is made at the first import of a module, not for all of torch at once.
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --no-compile \
	--constraint constraints/pinned.txt --editable
COMMA := ,
SOURCES := pyproject.toml constraints/pinned.txt

# The tests of the static page need ONNX Runtime's build for browsers, in the one version that hanmo takes.
ORT_VERSION := $(shell sed -n 's/^VERSION = "\(.*\)"$$/\1/p' src/hanmo/serve/runtime.py)
ORT_WEB := $(CURDIR)/build/onnxruntime-web-$(ORT_VERSION).tgz
export HANMO_ORT_WEB ?= $(ORT_WEB)

# Tests that neither train a net nor start a browser or a server.
QUICK := tests/test_*.py tests/data tests/docs/test_links.py tests/nets/test_attention.py tests/nets/test_tta.py \
	tests/distill/test_logits.py tests/cli/test_main.py tests/cli/test_recognize.py

.PHONY: help demo demo-distill test test-quick soak coverage lint audit sbom docs docs-serve clean onnxruntime-web
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: .venv/.base
	$(BIN)/python dev/demo.py

demo-distill: .venv/.train
	$(BIN)/python dev/demo_distill.py

test: .venv/.dev onnxruntime-web
	@$(BIN)/python tests/needs.py
	$(BIN)/python -m pytest -n 2

test-quick: .venv/.dev
	$(BIN)/python -m pytest -n 2 $(QUICK)

soak: .venv/.dev
	$(BIN)/python -m pytest -n 2 -m soak

coverage: .venv/.dev onnxruntime-web
	@$(BIN)/python tests/needs.py
	$(BIN)/python -m pytest -n 2 --cov=hanmo --cov-report=term:skip-covered --cov-report=html

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python dev/lint_page.py

# --strict: a package that the database could not be asked about is an error, and not taken for a sound one.
# --no-deps --disable-pip: the files name every package with its version, so nothing is installed to find out.
audit: build/audit-env/.ready
	build/audit-env/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		--requirement constraints/pinned.txt --requirement constraints/docs.txt --requirement constraints/audit.txt

# The list is of a fresh environment with hanmo in it and nothing else, not even pip.
sbom: build/audit-env/.ready
	rm -rf build/sbom-env
	$(PYTHON) -m venv --without-pip build/sbom-env
	build/audit-env/bin/python -m pip --python build/sbom-env/bin/python install --quiet --disable-pip-version-check \
		--constraint constraints/pinned.txt '.$(if $(EXTRAS),[$(EXTRAS)])'
	build/audit-env/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file build/sbom.json build/sbom-env/bin/python

docs: .venv-docs/.ready
	.venv-docs/bin/python dev/build_docs.py

docs-serve: docs
	$(PYTHON) -m http.server 8080 --bind 127.0.0.1 --directory build/site

clean:
	rm -rf .venv .venv-docs demo build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

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
	$(INSTALL) '.[train,serve,dev,notebook$(if $(RAY),$(COMMA)ray)]'
	@touch $@

# The site's tools have an environment of their own: they read the source and never import it.
.venv-docs/.ready: pyproject.toml constraints/docs.txt
	@echo "Setting up .venv-docs; seconds, once."
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints/docs.txt
	@touch $@

# These tools, too, stay out of the environment of hanmo and of its tests.
build/audit-env/.ready: constraints/audit.txt
	$(PYTHON) -m venv build/audit-env
	build/audit-env/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints/audit.txt
	@touch $@

# A file that is there is kept; without npm, or without a network, the tests that need it are skipped.
onnxruntime-web:
	@[ -f "$$HANMO_ORT_WEB" ] || ! command -v npm >/dev/null || { mkdir -p build && \
		npm pack --silent --pack-destination build "onnxruntime-web@$(ORT_VERSION)" >/dev/null; } || \
		echo "onnxruntime-web could not be fetched by npm" >&2
