# minehunt: `make help` lists what there is to do.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Compiled code stays out of the tree.
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
# And is compiled once, where an environment would have each process of the tests do it again.
unexport PYTHONDONTWRITEBYTECODE
# Installing never asks, and never takes a package that the lock files do not name with its hash.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet

.DEFAULT_GOAL := help
.PHONY: help setup triage fleet check test lab fuzz kernels host stock lint types bench bench-compare docs dist release lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.runtime ## make .venv with everything the command needs: .venv/bin/minehunt

triage: $(VENV)/.runtime ## run the whole SOP on this host (as root for the whole answer)
	@$(BIN)/minehunt triage $(ARGS)

fleet: $(VENV)/.fleet ## install the engine of `minehunt fleet`, and run that (ARGS='report SOURCE…')
	@$(BIN)/minehunt fleet $(or $(ARGS),--help)

check: lint types ## before a commit: style, types, and the tests of what differs from the last one
	$(BIN)/python -m tests.changed

test: $(VENV)/.dev ## run the tests (as root also those that plant real things)
	$(BIN)/python -m tests.suite $(ARGS)

lab: $(VENV)/.dev ## re-create miner behaviour, harmlessly; print SOP step x case x found by x twin silent (as root)
	$(BIN)/python -m tests.lab $(ARGS)

kernels: $(VENV)/.dev ## boot Debian's stock kernels in an emulator; triage and test in each (as root; ARGS='--kernel 6.1 --quick')
	$(BIN)/python -m tests.kernels run $(ARGS)

fuzz: $(VENV)/.dev ## hostile texts, trees and ends against every parser, table and process, for minutes (ARGS='--minutes 60')
	$(BIN)/python -m tests.hostile.campaign $(ARGS)

host: $(VENV)/.dev ## boot a whole Debian 12 the same way, use it, and compare what minehunt says with what is there (as root)
	$(BIN)/python -m tests.kernels host $(ARGS)

stock: $(VENV)/.dev ## build whole Debian systems: no detection fires on them, and our packages install, serve and go (as root; ARGS='bookworm')
	$(BIN)/python -m tests.stock $(ARGS)

lint: $(VENV)/.dev ## check style, format, import directions and the packs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/minehunt pack check
	$(BIN)/minehunt pack check --pack packs/cryptominer_events
	$(BIN)/python -m build.docs --check

types: $(VENV)/.dev ## check types
	$(BIN)/mypy

bench: $(VENV)/.dev ## measure beside unhide, ss and C; prints ratios (as root, with unhide and a C compiler installed)
	$(BIN)/python -m tests.benchmarks $(ARGS)

bench-compare: $(VENV)/.dev ## show what changed between two runs of make bench ARGS='--json FILE' (ARGS='OLD NEW')
	$(BIN)/python -m tests.benchmarks.figures $(ARGS)

docs: $(VENV)/.runtime ## write tables/README.md, packs/README.md and the register of SIEM rules anew
	$(BIN)/python -m build.docs

dist: $(VENV)/.dev ## build all deliverables into dist/; INDICATORS='FILE…' adds lists of pools to the packages
	@$(BIN)/python -m build.dist $(INDICATORS)

release: $(VENV)/.dev ## build all deliverables, and tag this commit with the version; pushes nothing
	@$(BIN)/python -m build.release

lock: $(VENV)/.dev ## renew the lock files (needs the Python package uv on PATH)
	uv pip compile --universal --python-version 3.9 --generate-hashes --no-emit-index-url --quiet \
	  --custom-compile-command 'make lock' pyproject.toml build/requirements.in -o build/requirements.lock
	uv pip compile --universal --python-version 3.9 --generate-hashes --no-emit-index-url --quiet \
	  --custom-compile-command 'make lock' build/requirements-dev.in -o build/requirements-dev.lock
	uv pip compile --universal --python-version 3.9 --generate-hashes --no-emit-index-url --quiet \
	  --custom-compile-command 'make lock' build/requirements-fleet.in -o build/requirements-fleet.lock
	uv pip compile --python-version 3.9 --generate-hashes --no-emit-index-url --quiet \
	  --custom-compile-command 'make lock' build/requirements-ext.in -o build/requirements-ext.lock
	$(BIN)/python -m build.debian

clean: ## remove what make made
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.venv: build/make_venv.sh
	PYTHON='$(PYTHON)' sh build/make_venv.sh '$(VENV)'
	@touch $@

$(VENV)/.runtime: $(VENV)/.venv build/requirements.lock pyproject.toml
	$(PIP) --require-hashes -r build/requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.fleet: $(VENV)/.runtime build/requirements-fleet.lock
	$(PIP) --require-hashes -r build/requirements-fleet.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime $(VENV)/.fleet build/requirements-dev.lock
	$(PIP) --require-hashes -r build/requirements-dev.lock
	@touch $@
