# `make` alone lists all targets, with the time that each takes on a machine with two processors.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for guests and servers now and then: one more than there are processors.
JOBS ?= $(shell echo $$(($$(nproc) + 1)))

# What `make mutation` changes: MODULE may be modules or folders; SEED chooses other changes.
MUTATION := .venv-mutation
MODULE ?=
SAMPLE ?= 200
SEED ?= 1

# How many rounds `make test-faults` runs; SEED is that of the first of each kind, KIND is one kind alone.
ROUNDS ?= 100
KIND ?=

# How long `make fuzz` runs each target.
FUZZTIME ?= 60s

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-boot test-fresh test-install test-faults fuzz test-fast coverage lint format docs docs-check \
  bench bench-boot bench-first mutation wheel deb container lock clean

help: ## show this list; times are those of a machine with 2 processors
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check install

setup: $(VENV)/.ready ## install everything that development needs, into .venv and from Debian

$(VENV)/.ready: requirements-dev.txt pyproject.toml .ci/packages.txt .ci/demo-packages.txt
	@.ci/setup demo-packages.txt packages.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements-dev.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.demo-ready

# What the demo needs and no more; `make setup` includes it.
$(VENV)/.demo-ready: requirements.txt pyproject.toml .ci/demo-packages.txt
	@.ci/setup demo-packages.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/.demo-ready ## build the example web server, boot it and fetch its page; INTERACTIVE=1 for a console
	@$(BIN)/python examples/demo

test: setup lint ## run every test, the slow ones, too
	@$(BIN)/pytest -m "not whole" -n $(JOBS) --dist worksteal -q --allowed-skips=.ci/allowed-skips.txt

test-boot: setup ## boot all formats, packages and examples that `make test` leaves out (1 h)
	@$(BIN)/pytest -m whole -n $(JOBS) --dist worksteal -q

test-fresh: setup ## follow the README on fresh Debian 12, 13 and testing, as root and as a user (1 h)
	@$(BIN)/python test/fresh/run.py $(if $(SUITE),--suite $(SUITE)) $(FRESH)

test-install: wheel deb container ## install Dolmen in each way on fresh Debians, and boot as a user (30 min)
	@$(BIN)/python test/fresh/install.py $(if $(SUITE),--suite $(SUITE)) $(if $(WAY),--way $(WAY)) $(FRESH)
	@$(BIN)/python test/fresh/container.py

test-faults: setup ## kill, starve and mislead Dolmen at random (5 min); ROUNDS=1000, SEED=2, KIND=rot
	@PYTHONPATH=test $(BIN)/python -m faults --rounds $(ROUNDS) --seed $(SEED) \
	  $(if $(KIND),--kind $(KIND)) --jobs $$(nproc)

fuzz: setup ## run each fuzz target of the programs in Go for FUZZTIME=60s (35 min)
	@.ci/fuzz $(FUZZTIME)

test-fast: setup ## run the tests that need no server and no virtual machine (1 min)
	@$(BIN)/pytest -n $(JOBS) -q

coverage: setup ## measure which lines the fast tests run (3 min); SLOW=1: all tests but `whole` ones
	@rm -rf .coverage
	@status=0; \
	$(BIN)/coverage run -m pytest $(if $(SLOW),-m "not whole") -n $(JOBS) --dist worksteal -q \
	  || status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage json --quiet -o .coverage/report.json; \
	$(BIN)/python test/coverage_report.py .coverage/report.json $(if $(SLOW),92,85) || status=1; \
	exit $$status

lint: setup ## check style, types, imports between modules, shell scripts and documents (25 s)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@.ci/shellcheck
	@$(BIN)/mypy
	@$(BIN)/mypy --platform darwin --no-warn-unreachable --cache-dir .mypy_cache/darwin
	@told=$$($(BIN)/lint-imports) || { echo "$$told"; exit 1; }
	@$(MAKE) --no-print-directory docs-check

format: setup ## put the code into shape (1 s)
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

docs: setup ## write the generated documents (2 s)
	@$(BIN)/python docs/generate.py

docs-check: setup
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/python docs/check.py

bench: setup ## measure speed and memory as ratios, and keep bench/results.md (8 min)
	@$(BIN)/python bench/run.py

bench-boot: setup ## measure size, boot and memory of guests (10 min); BASE=DIR: beside another checkout; KERNEL=kernel/6.12-kvm
	@$(BIN)/python bench/run.py boot $(if $(BASE),--base $(BASE)) $(if $(KERNEL),--kernel $(KERNEL))

bench-first: wheel ## measure the first boot from nothing, downloads included (3 min); WAY=uvx
	@$(BIN)/python bench/first.py --wheel dist/dolmen-*.whl $(if $(WAY),--way $(WAY))

mutation: setup $(MUTATION)/.ready ## list changes of MODULE that no unit test notices (SAMPLE=200: 15 min)
	@$(MUTATION)/bin/python test/mutation.py --sample $(SAMPLE) --seed $(SEED) $(MODULE)

$(MUTATION)/.ready: requirements-mutation.txt
	@test -x $(MUTATION)/bin/python || $(PYTHON) -m venv $(MUTATION)
	@$(MUTATION)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# They read the checkout and write to dist/; the time of all files is that of the last commit.
RELEASE = PYTHONPATH=packaging:docs $(BIN)/python -m

wheel: setup ## build the wheel, the same bytes each time (2 s)
	@$(RELEASE) release.wheel

deb: setup ## build the Debian package, without root (40 s); ARCH=arm64 for another architecture
	@$(RELEASE) release.deb $(if $(ARCH),--architecture $(ARCH))

container: setup ## build the OCI image of Dolmen by Dolmen, for amd64 and arm64 (3 min); ARCH=amd64
	@$(RELEASE) release.container $(if $(ARCH),--architecture $(ARCH))

COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-header --no-emit-index-url --no-emit-find-links

lock: setup ## renew the pinned versions, for every Python from 3.11 on (10 s)
	@$(COMPILE) --all-extras --output-file requirements.txt pyproject.toml requirements.in
	@$(COMPILE) --output-file requirements-dev.txt --constraint requirements.txt --all-extras \
	  pyproject.toml requirements.in requirements-dev.in
	@$(COMPILE) --output-file requirements-mutation.txt requirements-mutation.in

clean: ## remove what was made here
	@rm -rf $(VENV) $(MUTATION) build dist bench/work .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	@rm -rf .import_linter_cache test/conformance/layout test/conformance/.layout.lock
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
