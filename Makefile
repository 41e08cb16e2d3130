# make demo    sets up, then grades a sample class
# make test    sets up, then runs all tests but the long ones
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test build lint lock clean .venv

demo: .venv/installed
	$(BIN)/convgrade demo

test: .venv/installed
	$(BIN)/python -m pytest -n logical --maxprocesses 4

build: .venv/installed
	$(BIN)/convgrade build

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell README.md CONTRIBUTING.md docs source/*/*.py autograder benchmarks

.venv: .venv/installed

# A half-made environment has no such file, so an interrupted set-up starts again.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "This needs Python 3.11, 3.12 or 3.13; name one with 'make PYTHON=python3.12 ...'."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Names no registry: whatever pip is set up to use serves it.
lock: .venv/installed
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra cpu --extra data --extra cluster --extra dev \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock

clean:
	rm -rf .venv demo-course* *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
