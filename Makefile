# Everything that people do with the checkout. `make` alone lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check test-slow verify-corpus bench fixtures fuzz peers docs clean
help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

$(VENV)/.runtime: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	$(BIN)/python -m compileall -q modelscan # an editable install leaves that to the first run, and where nothing may be written to every run
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/.runtime ## set up and run the main job on fixtures/
	$(BIN)/modelscan inspect fixtures/good/simple_rnn.keras
	$(BIN)/modelscan explain fixtures/good/simple_rnn.keras simple_rnn
	$(BIN)/modelscan inspect fixtures/good/simple_rnn_operator.onnx
	$(BIN)/modelscan scan fixtures/good
	$(BIN)/modelscan scan fixtures/bad || test $$? -eq 1

check: $(VENV)/.dev ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check ## set up and run the checks and the tests
	$(BIN)/python -m pytest -n 2 -m 'not slow'

test-slow: $(VENV)/.dev ## the long suites: property tests, mutations, the whole corpus
	$(BIN)/python -m pytest -n 2 -m slow

verify-corpus: $(VENV)/.dev ## the real frameworks beside modelscan over the whole corpus
	$(BIN)/python -m tests.verify_corpus

bench: $(VENV)/.dev ## time and memory beside the peers, as ratios, into docs/benchmarks.md
	$(BIN)/python -m bench

fixtures: $(VENV)/.dev ## build fixtures/ anew with the real frameworks
	$(BIN)/python -m fixtures.generate

fuzz: $(VENV)/.dev ## mutate files bytewise, seeded
	$(BIN)/python -m tests.fuzz

peers: $(VENV)/.dev ## the museum through other scanners, side by side, into docs/peers.md
	$(BIN)/python -m tests.hostile.peers

docs: $(VENV)/.dev ## write the pages of the rules from their docstrings, what commands print, the pictures
	$(BIN)/python -m docs.generate
	$(BIN)/python -m docs.console
	$(BIN)/python -m docs.pictures

clean: ## remove what was set up
	rm -rf $(VENV) .venv-peers* bench/out .pytest_cache .ruff_cache .mypy_cache
