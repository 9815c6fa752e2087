# What a developer and CI run. `make setup` needs python3 >= 3.11, git and make; it says what else is missing.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
export ONCE QUICK

.PHONY: setup demo test check bench bench-policy policy-test soak lock servers docs sbom audit
.DEFAULT_GOAL := setup

setup: $(STAMP)  ## make .venv with regate and everything for development in it

$(STAMP): pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "regate needs Python >= 3.11; name one with: make setup PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); version=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$version \
	    && $(PYTHON) -m venv $(VENV); \
	  else echo "no module venv; as root: apt-get install $$version" >&2; exit 1; fi; }
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

servers: setup  ## install PostgreSQL, pgbouncer, Java and Maven where they are missing
	$(BIN)/python -m tests.servers.install

demo: setup  ## the whole story on a real PostgreSQL; ONCE=1 ends after it
	$(BIN)/python demo/run.py

test: servers  ## every test but the long counts; one that fails runs once more, and is listed
	$(BIN)/python -m pytest -q -m "not soak" --reruns 1 -raR

soak: servers  ## the full counts
	$(BIN)/python -m pytest -q -m soak --timeout=0

policy-test: setup  ## format, check against the schemas, test and lint the policies
	PYTHON=$(BIN)/python sh opa/policy-test.sh

docs: setup  ## the reference page is what --help says
	$(BIN)/python -m pytest -q tests/cli -k reference

check: setup  ## format, lint, types, policies, docs in step
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory policy-test docs

bench: servers  ## pgbench and COPY, direct, through pgbouncer and through regate; QUICK=1 takes under 50 s
	$(BIN)/python -m benchmarks.pgbench $(if $(QUICK),--quick)
	$(if $(QUICK),,$(BIN)/python -m benchmarks.tunnel)
	$(if $(QUICK),,$(BIN)/python -m benchmarks.rejudge)
	$(if $(QUICK),,$(BIN)/python -m benchmarks.redis)
	$(if $(QUICK),,$(BIN)/python -m benchmarks.mysql)
	$(if $(QUICK),,$(BIN)/python -m benchmarks.mongodb)
	$(if $(QUICK),,$(BIN)/python -m benchmarks.estate)

bench-policy: setup  ## what a decision costs, by the number of roles; QUICK=1 takes under 50 s
	$(BIN)/python -m benchmarks.policy $(if $(QUICK),--quick)
	$(if $(QUICK),,$(BIN)/python -m benchmarks.replay)

.venv-supply/.setup: $(STAMP) requirements-supply.lock
	$(BIN)/python -m uv venv -q --clear .venv-supply
	$(BIN)/python -m uv pip install -q --python .venv-supply/bin/python --require-hashes -r requirements-supply.lock
	@touch $@

sbom: .venv-supply/.setup  ## dist/sbom.json: what a release is made of, each with its digests, in CycloneDX
	@mkdir -p dist
	.venv-supply/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible \
	  --of JSON -o dist/sbom.json

audit: .venv-supply/.setup  ## known vulnerabilities of what a release is made of; asks the package index
	.venv-supply/bin/pip-audit -r requirements.lock --require-hashes --disable-pip --progress-spinner off

lock: setup  ## write both locks anew from pyproject.toml: for development, and for the container
	$(BIN)/python -m uv pip compile -q pyproject.toml --group dev --generate-hashes --universal \
	  --python-version 3.11 --no-header -o requirements-dev.lock
	$(BIN)/python -m uv pip compile -q pyproject.toml --generate-hashes --universal \
	  --python-version 3.11 --no-header -c requirements-dev.lock -o requirements.lock
	$(BIN)/python -m uv pip compile -q --group pyproject.toml:supply --generate-hashes --universal \
	  --python-version 3.11 --no-header -o requirements-supply.lock
