# Everything a developer or CI does here is a target; `make help` lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
T      ?= tests
# Processes that share the tests, a file each at a time; N=0 runs them in one, with output as it comes.
N      ?= logical
LOCK_COMMAND = uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--no-header --python-version 3.11 --all-extras pyproject.toml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ Start
.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "; print "Usage: make <target>"} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Install everything into .venv (hash-locked; skipped when nothing changed)

.PHONY: run
run: $(STAMP) ## Start the whole gateway with real servers and a demo key (Ctrl-C stops it)
	@$(BIN)/bytespike up

##@ Prove
.PHONY: test
test: $(STAMP) ## Run all tests against real servers of their own; T=path for a part, N=0 in one process
	$(BIN)/python -m pytest -n $(N) --maxprocesses 4 --dist loadfile $(T)

.PHONY: check
check: fmt-check lint types imports tidy catalogue ## Everything but the tests

.PHONY: bench
bench: $(STAMP) ## Measure the gateway against its budgets; ARGS=--quick for a short run
	$(BIN)/python -m tests.bench $(ARGS)

##@ Parts of check
.PHONY: fmt-check
fmt-check: $(STAMP) ## Is the code formatted?
	$(BIN)/ruff format --check .

.PHONY: lint
lint: $(STAMP) ## Ruff's rules
	$(BIN)/ruff check .

.PHONY: types
types: $(STAMP) ## mypy --strict over services, shared and tests
	$(BIN)/mypy

.PHONY: imports
imports: $(STAMP) ## Who may import whom
	$(BIN)/lint-imports

.PHONY: tidy
tidy: $(STAMP) ## House rules as tests
	$(BIN)/python -m pytest -q tests/tidy

.PHONY: catalogue
catalogue: $(STAMP) ## Is the default catalogue usable?
	$(BIN)/bytespike check-config deploy/catalogue/default.toml

##@ Change
.PHONY: fmt
fmt: $(STAMP) ## Format the code and sort imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: $(STAMP) ## Write what is generated: tables of the README, docs/translation.md, docs/admin.md
	$(BIN)/python -m tests.support.readme
	$(BIN)/python -m tests.support.translation
	$(BIN)/python -m tests.support.admin_page

.PHONY: lock
lock: ## Re-create requirements.lock from pyproject.toml (needs uv; UPGRADE=1 takes newer versions)
	$(LOCK_COMMAND) $(if $(UPGRADE),--upgrade) --output-file requirements.lock

.PHONY: clean
clean: ## Remove .venv, caches and local state (also the demo's money)
	rm -rf $(VENV) .bytespike .bytespike-test .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find services shared tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || { \
		echo "$(PYTHON) not found: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$($(PYTHON) -V), this needs 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "Installing hash-locked dependencies into $(VENV) (once, a minute or two)"
	@# The lock is complete, so nothing is resolved: some versions of pip leave it for a newer release
	@# of a package that is wanted with extras, and then miss its hash. `pip check` proves completeness.
	@$(BIN)/pip install --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	@$(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/pip check --disable-pip-version-check
	@touch $@
