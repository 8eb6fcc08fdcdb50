# All set-up is done by the targets themselves: Python 3.11 or newer, git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check bench accuracy clean

demo: $(VENV)/.base
	$(BIN)/clearcube demo --output demo

test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench
	for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# Of masks and syntheses, on simulated scenes; LABELS=FOLDER adds a labelled series, and its syntheses,
# TILE="4 5" rows of blocks of a simulated tile (of 0 to 9; some minutes each).
accuracy: $(VENV)/.test
	$(BIN)/python tests/benchmarks/accuracy_masks.py $(if $(LABELS),--labels $(LABELS))
	$(BIN)/python tests/benchmarks/accuracy_syntheses.py
	$(if $(TILE),$(BIN)/python tests/benchmarks/accuracy_tile.py --rows $(TILE))
	$(if $(LABELS),$(BIN)/python tests/benchmarks/quality_syntheses.py --series $(LABELS))
	$(if $(LABELS),$(BIN)/python tests/benchmarks/quality_by_labels.py --labels $(LABELS))

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "clearcube needs Python 3.11 or newer; set PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "this Python cannot make a virtual environment: install the package python3-venv"; exit 1; }
	@$(PYTHON) -c 'import pyexpat' 2>/dev/null \
		|| { echo "this Python cannot read XML: install the package libexpat1"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

# Tests use every extra; those that need PostgreSQL are skipped where it is not installed.
$(VENV)/.test: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/.check: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --editable '.[test,check]'
	@touch $@

$(VENV)/.bench: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --editable '.[all,bench]'
	@touch $@
