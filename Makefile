# Each target does all of its own set-up: Python 3.11 or later is all that a machine needs.
#
#   make docs    the documentation as a site, in build/site; fails on any broken link
#   make demo    priors of height, and models of expression, on chromosome 22, from download to pictures, in demo-output/
#   make test    all tests                 make lint    format, lint and types
#   make torture    damaged files, kills, full disks, for an hour or MINUTES=5; counts as JSON
#   make bench   time and memory as JSON, in benchmarks/output/      make bench-linalg    the linear algebra alone, with a picture

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Real data for tests and annotations, where it is at hand. Never exported empty: tests would take "." for it.
VARFX_DATA ?= $(abspath $(wildcard ../shared/data))
ifneq ($(VARFX_DATA),)
export VARFX_DATA
endif

BENCHMARKS := $(filter-out expr_geuvadis rank_rule expr_real prior_height linalg engines gpu,$(patsubst benchmarks/%.py,%,$(wildcard benchmarks/[a-z]*.py)))

# NO_MKDOCS_2_WARNING: no advertisement in the output.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

.PHONY: demo docs test torture lint format bench bench-linalg clean
.DEFAULT_GOAL := test

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[test,lint,docs]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/varfx demo prior --out demo-output
	$(BIN)/varfx demo expression --out demo-output/expression

# Workers share the processors, so that each computes with one thread.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 $(PYTEST_ARGS)

# Damaged files, kills, full disks and two writers, for an hour (or MINUTES=5); counts as JSON in benchmarks/output/torture.json,
# in which a second call goes on. One campaign alone: docs/reliability.md.
MINUTES ?= 60
torture: $(INSTALLED)
	mkdir -p benchmarks/output
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m torture --minutes $(MINUTES) --out benchmarks/output/torture.json

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-linalg: benchmarks/output/linalg.json

bench: $(BENCHMARKS:%=benchmarks/output/%.json)

# Always measured anew.
.PHONY: $(BENCHMARKS:%=benchmarks/output/%.json)
benchmarks/output/%.json: benchmarks/%.py $(INSTALLED)
	$(BIN)/python $< --out $@

clean:
	rm -rf demo-output benchmarks/output build dist
