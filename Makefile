# Two commands from a fresh clone: `make quickstart` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export JAX_PLATFORMS ?= cpu
# The tests start many processes, each of which would otherwise compile every module it imports.
unexport PYTHONDONTWRITEBYTECODE

# Whole files per worker, in the order of tests/seconds.json: the slowest first.
WORKERS := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: quickstart test test-all messages check format bench campaign kills notebooks docs constraints clean

quickstart: $(VENV)/installed
	$(BIN)/transfer quickstart

# Every promise by a sample: a quarter of an hour on 2 cores.
test: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(WORKERS) --nbmake

# Every case of every matrix, compiled as users compile: half an hour on 2 cores.
test-all: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(WORKERS) --nbmake --full

# Rewrites tests/messages.json, the wording of every refusal.
messages: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(WORKERS) --update-messages tests

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Rewrites docs/performance.md: hours on 2 cores, which have to be idle, less for some parts
# (`make bench BENCH="step sweep"`). What is measured already stays.
bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks $(BENCH)

# A good hour on 2 cores: decay and spectrum on settled runs.
campaign: $(VENV)/installed
	$(BIN)/transfer sweep --config=configs/campaign.py --run=runs/campaign
	$(BIN)/transfer report --run=runs/campaign

# Runs the notebooks at full size, a quarter of an hour on 2 cores, and keeps what they show.
notebooks: $(VENV)/installed-dev
	rm -rf notebooks/runs
	$(BIN)/python notebooks/execute.py

# Training, sweeps and reports killed at random moments, ten times as often as by the tests.
kills: $(VENV)/installed-dev
	cd tests && PYTHONPATH=.. JAX_NUM_CPU_DEVICES=1 $(abspath $(BIN))/python -m kills.matrix \
		$$(mktemp -d) 240 1

# The guides and the library's reference as a site in build/docs; a broken link is an error.
docs: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) ".[docs]"
	$(BIN)/mkdocs build

# The constraints are what the tests have passed with.
constraints: $(VENV)/installed-dev
	echo "# What the tests have passed with; made by \`make constraints\`." > constraints.txt
	$(BIN)/pip freeze --exclude-editable | grep -v "^width-transfer" >> constraints.txt

clean:
	rm -rf $(VENV) runs

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt --editable

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) .
	touch $@

$(VENV)/installed-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) ".[dev]"
	touch $(VENV)/installed $@

$(VENV)/installed-bench: $(VENV)/installed
	$(INSTALL) ".[bench]"
	touch $@
