"""Fixtures that several test files use: a small language, texts, checkpoint folders, encoders.

Fixtures import what they build with. A test without them does not wait for transformers, and the process that
distributes the tests does not import torch, which takes five seconds before any test starts.
"""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from factories.parsed_files import parsed_once
from filelock import FileLock

if TYPE_CHECKING:
    from bench.data.corpus import Corpus
    from bench.data.vocabulary import Vocabulary
    from bench.evaluation.score import EvaluationData
    from bench.targets.encoder import Encoder

# Threads of torch, here and in the commands that tests start: tests run side by side, a process a core.
os.environ["OMP_NUM_THREADS"] = "1"

# Files that take longest, in seconds of processor time. They are distributed first: a long file that starts last leaves
# the other processes idle.
LONG_FILES = (
    "test_kills.py",
    "test_fuzz.py",
    "test_documents.py",
    "test_wandb_service.py",
    "test_slurm.py",
    "test_outages.py",
    "test_end_to_end.py",
    "test_page_in_browser.py",
    "test_checkpoint.py",
    "test_subword_scores.py",
    "test_plots.py",
    "test_extending.py",
    "test_distributed.py",
    "test_architectures.py",
    "test_head_contract.py",
    "test_gpu_reference.py",
    "test_diagnose.py",
    "test_head_sweep.py",
    "test_encoder_sweep.py",
    "test_generate.py",
    "test_markov_language.py",
    "test_normalisation.py",
    "test_brier_lm.py",
    "test_notebooks.py",
    "test_margin_and_frozen_heads.py",
    "test_uncounted_head.py",
    "test_configs.py",
    "test_cost_report.py",
    "test_ladder.py",
    "test_id_order.py",
    "test_imports.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of long files to the front; the order within a file stays."""
    place = {name: i for i, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="module", autouse=True)
def spare_garbage_collection() -> None:
    """Take imported modules and shared fixtures out of garbage collection, whose passes take 0.3 s each otherwise."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def configuration_files() -> Iterator[None]:
    """Parse each YAML file once."""
    with parsed_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def short_timings() -> Iterator[None]:
    """Time an operation of a cell once or five times instead of for 0.1 s: tests run a hundred cells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.cost.record_costs.LONG_MS", 0.0)
        patch.setattr("bench.cost.record_costs.HEAD_SECONDS", 0.0)
        yield


SPELLINGS = ["".join(syllables) for syllables in itertools.product(("ka", "lo", "mi", "é", "st"), repeat=4)]
LENGTHS = (900, 820, 760, 700, 610, 520, 450, 380, 310, 260, 190, 100)


def chain(random: np.random.Generator, length: int) -> list[str]:
    """Every other word or so is one that likes to follow the word before it."""
    zipf = 1 / np.arange(1, len(SPELLINGS) + 1)
    words = random.choice(len(SPELLINGS), length, p=zipf / zipf.sum())
    for t in range(1, length):
        if random.random() < 0.5:
            words[t] = (7 * words[t - 1] + random.integers(3)) % len(SPELLINGS)
    return [SPELLINGS[word] for word in words]


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """6,000 words, some of which training never sees."""
    from bench.data.corpus import build_corpus
    from bench.data.splits import split_by_document

    random = np.random.default_rng(0)
    return build_corpus("markov", split_by_document([chain(random, length) for length in LENGTHS]))


@pytest.fixture(scope="session")
def vocabulary(corpus) -> Vocabulary:
    from bench.data.vocabulary import Vocabulary

    return Vocabulary(corpus, 200)


@pytest.fixture(scope="module")
def evaluation_data(corpus, vocabulary) -> EvaluationData:
    """300 words of validation text, 150 of test text and a speller."""
    from bench.evaluation.score import EvaluationData
    from bench.models.spelling import Speller

    small, speller = corpus.limited(validation=300, test=150), Speller(vocabulary)
    return EvaluationData(vocabulary, speller, small.validation, small.test, calibration_words=200, search_words=50)


@pytest.fixture(scope="session")
def forked(tmp_path_factory, shared) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """Runs commands of the project as `factories.commands.bench` does, without the time of the imports."""
    from factories.forked_commands import forked_commands

    with forked_commands(tmp_path_factory.mktemp("outputs"), shared) as run:
        yield run


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """Folder that all processes of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def built_once(shared) -> Callable[[str, Callable[[Path], object]], Path]:
    """Function that returns a folder which one of the processes of pytest-xdist builds for all; tests only read it."""

    def folder_of(name: str, build: Callable[[Path], object]) -> Path:
        folder = shared / name
        with FileLock(f"{folder}.lock"):
            if not Path(f"{folder}.built").exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
                folder.mkdir()
                build(folder)
                Path(f"{folder}.built").touch()
        return folder

    return folder_of


@pytest.fixture(scope="module")
def place(tmp_path_factory, built_once) -> Path:
    """A user's folder with `text.txt`, thirty documents of the Bible."""

    def build(folder: Path) -> None:
        from bench.data.sources.bible import kjv

        bible = kjv()
        documents = [" ".join(bible.words_of(words[:400])) for words in bible.train.documents()[:30]]
        (folder / "text.txt").write_text("\n\n".join(documents))

    folder = tmp_path_factory.mktemp("user")
    shutil.copy(built_once("thirty documents", build) / "text.txt", folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The checkpoint folder of a small BERT with random weights."""
    from factories.encoder import tiny_bert

    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def encoder(folder, tmp_path) -> Callable[..., Encoder]:
    """Builds an encoder from that folder with the settings given; its cache is in the test's own folder."""
    from factories.encoder import tiny_encoder

    return lambda **settings: tiny_encoder(folder, tmp_path, **settings)


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory) -> Path:
    """The checkpoint folder of a small Llama with random weights, over the tokeniser of `tiny_model`."""
    import torch
    from factories.models import tiny_model
    from transformers import LlamaConfig, LlamaForCausalLM

    place = tmp_path_factory.mktemp("llama")
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    pieces = tiny_model().pieces
    config = LlamaConfig(vocab_size=len(pieces.tokenizer), max_position_embeddings=32, **sizes)
    LlamaForCausalLM(config).save_pretrained(place)
    pieces.tokenizer.save_pretrained(place)
    return place
