# make setup | demo | test | lint | docs. Each sets up what it needs and then does its job.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
DATA ?=

.PHONY: setup demo test test-long test-image lint figures clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh $(wildcard setup.py)
	PYTHON=$(PYTHON) VENV=$(VENV) sh scripts/setup.sh
	touch $@

# The documents and the API reference as a site in build/site; a warning is an error.
.PHONY: docs
docs: $(STAMP)
	$(BIN)/python -m mkdocs build --strict

demo: $(STAMP)
	$(BIN)/python -m nn_tudor.demo --out demo $(if $(DATA),--data "$(DATA)")

# A file's tests stay in one process: what they share is made once, not once in each of the two. Files
# are handed out as tests/conftest.py orders them, not those with the most tests first.
test: $(STAMP) lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not image"

# What takes longer than a few minutes: long streams, the full walk through training, fuzzing.
test-long: $(STAMP)
	$(BIN)/python -m pytest -m slow

# Debian for arm64 from packages, `tudor flash pi`, and the card booted in an emulator.
test-image: $(STAMP)
	$(BIN)/python -m pytest -m image tests/image

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

# What the program prints of its presets, into README, cards and docs; presets whose weights are new
# are measured first, which takes some minutes for each.
figures: $(STAMP)
	$(BIN)/python scripts/figures.py --measure
	$(BIN)/python scripts/operations.py

clean:
	rm -rf build demo *.egg-info .pytest_cache .mypy_cache .ruff_cache
