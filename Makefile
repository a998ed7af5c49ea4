# Everything from a clean clone with Python 3.11+ and make: `make run`, `make test`.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 3

.PHONY: run test check format constraints pictures clean

run: $(STAMP)  ## The quickstart on the embedded simulator: no key, no network.
	$(BIN)/llmtop demo --fresh

test: $(STAMP)  ## The whole test suite.
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

check: $(STAMP)  ## Lint, format, types, import contracts.
	$(BIN)/ruff check engine tui tests benchmarks
	$(BIN)/ruff format --check engine tui tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP)  ## Mend what can be mended by machine.
	$(BIN)/ruff check --fix engine tui tests benchmarks
	$(BIN)/ruff format engine tui tests benchmarks

pictures: $(STAMP)  ## The screenshots of the README and docs/, made from the program.
	$(BIN)/python -m llmtop_tui.pictures docs/pictures
	$(BIN)/python -m llmtop_tui.recording docs/recording.md

constraints: $(STAMP)  ## Write constraints.txt anew from what is installed.
	$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools > constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

# uv is quicker where it is at hand: `make UV=uv run`.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "llmtop needs Python 3.11 or later: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
ifdef UV
	$(UV) venv --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python -e '.[dev,fast]' -c constraints.txt
else
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m pip install --quiet --target $(VENV).tool virtualenv && PYTHONPATH=$(VENV).tool $(PYTHON) -m virtualenv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,fast]' -c constraints.txt
endif
	@touch $@
