# Everything from a fresh clone: `make demo`, `make test`, `make check`. Needs make and Python 3.11 or later; the
# rest is set up on the way. As root on a Debian-like system missing system packages are installed too; otherwise
# the message says which ones to install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SECONDARY:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin

# The first interpreter that is new enough.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; \
	done)

# Extras of pyproject.toml that a target needs.
EXTRAS_bench := bench
EXTRAS_check := demo,dev,test
EXTRAS_demo := demo,proxy
EXTRAS_docs := docs
EXTRAS_test := bench,demo,proxy,test

FIND_BROWSER := command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| ls "$$HOME"/.cache/ms-playwright/chromium-*

# $(call ensure,test command,Debian packages,what needs them)
define ensure
@if ! { $(1); } >/dev/null 2>&1; then \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing for $(3): $(2)"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get -qq update >/dev/null; \
		apt-get -qq install -y --no-install-recommends $(2) >/dev/null; \
	fi; \
	if ! { $(1); } >/dev/null 2>&1; then \
		echo "Missing for $(3): $(2). Install first, for example: sudo apt-get install $(2)" >&2; \
		exit 1; \
	fi; \
fi
endef

.PHONY: help
help:
	@echo "make demo    run the quick start in JupyterLab and write pictures of it to build/"
	@echo "make lab     open the notebooks in JupyterLab"
	@echo "make test    run every test and every notebook"
	@echo "make notebooks  run every notebook twice, in random order, without a network"
	@echo "make check   lint, format, types, and the floors of the house"
	@echo "make bench   measure ingest, snapshots, memory and charts beside other libraries"
	@echo "make stress  break links and servers at random for a minute, and count what is lost"
	@echo "make shots   write pictures of every widget to build/shots/"
	@echo "make docs    build the documentation to site/"

.PHONY: demo
demo: $(VENV)/.installed-demo browser
	@$(BIN)/rtwidgets demo --out build

.PHONY: lab
lab: $(VENV)/.installed-demo
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

.PHONY: test
test: $(VENV)/.installed-test tests/peers/node_modules/.installed browser go
	@$(BIN)/python -m pytest tests $(wildcard notebooks) -n 2 --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout=60

.PHONY: notebooks
notebooks: $(VENV)/.installed-test
	@for run in 1 2; do \
		$(BIN)/python -m pytest $$(shuf -e notebooks/*.ipynb) --nbval --nbval-current-env --nbval-cell-timeout=60; \
	done

.PHONY: check
check: $(VENV)/.installed-check
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: bench
bench: $(VENV)/.installed-bench browser
	@$(BIN)/python -m benchmarks.ingest
	@$(BIN)/python -m benchmarks.snapshot
	@$(BIN)/python -m benchmarks.imports
	@$(BIN)/python -m benchmarks.memory
	@$(BIN)/python -m benchmarks.stalled
	@$(BIN)/python -m benchmarks.durable
	@$(BIN)/python -m benchmarks.recovery
	@$(BIN)/python -m benchmarks.replay
	@$(BIN)/python -m benchmarks.book
	@$(BIN)/python -m benchmarks.connections
	@$(BIN)/python -m benchmarks.documents
	@$(BIN)/python -m benchmarks.platform
	@$(BIN)/python -m benchmarks.keystroke
	@$(BIN)/python -m benchmarks.chart

.PHONY: stress
stress: $(VENV)/.installed-test
	@$(BIN)/python -m benchmarks.stress

.PHONY: shots
shots: $(VENV)/.installed-demo browser
	@$(BIN)/python -m benchmarks.shots

.PHONY: docs
docs: $(VENV)/.installed-docs
	@$(BIN)/python docs/check_samples.py
	@# The variable only silences an advertisement.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is in site/index.html"

.PHONY: clean
clean:
	@rm -rf $(VENV) build dist site js/node_modules rtwidgets/widgets/static tests/peers/node_modules .mypy_cache .ruff_cache \
		.pytest_cache .hypothesis .import_linter_cache

# --- Set-up -------------------------------------------------------------------

$(VENV)/.made:
	@[ -n "$(PYTHON)" ] || { echo "rtwidgets needs Python 3.11 or later: install one first" >&2; exit 1; }
	$(call ensure,$(PYTHON) -c 'import ensurepip$(comma) venv',python3-venv,a virtual environment)
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

comma := ,

# Installing builds the document editor too, of what is in js/.
BUNDLE := rtwidgets/widgets/static/editor.bundle.js
EDITOR := hatch_build.py $(wildcard js/*.json js/*.mjs js/*.js) rtwidgets/widgets/browser/kernel.js

$(VENV)/.installed-%: pyproject.toml constraints.txt $(EDITOR) $(VENV)/.made
	$(call ensure,command -v node && command -v npm,nodejs npm,the document editor)
	@echo "Installing rtwidgets[$(EXTRAS_$*)] into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS_$*)]'
	@# What the build says about it is not shown by pip.
	@[ -e $(BUNDLE) ] || echo 'The document editor could not be built (cd js && npm install && npm run build says why): a plain text area takes its place' >&2
	@touch $@

tests/peers/node_modules/.installed: tests/peers/package.json
	$(call ensure,command -v node && command -v npm,nodejs npm,a test peer in JavaScript)
	@echo "Installing the test peers in JavaScript"
	@cd tests/peers && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: browser
browser:
	$(call ensure,$(FIND_BROWSER),chromium fonts-dejavu-core fonts-liberation,JupyterLab in a browser)

.PHONY: go
go:
	$(call ensure,command -v go && ls /usr/share/gocode/src/github.com/gorilla/websocket,golang-go golang-github-gorilla-websocket-dev,the examples in Go)
