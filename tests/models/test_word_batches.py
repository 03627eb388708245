"""Streams of words and inputs; fake target vectors are the positions, so that batches show what they read."""

import itertools
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.core.errors import SettingError
from bench.data.corpus import build_corpus
from bench.data.step_batches import Prefetch
from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.models.word_batches import Inputs, Streams, WordData

STREAMS, STEPS = 4, 35


class Positions:
    """Targets whose vector is the position that was asked for."""

    def at(self, positions: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(positions).float()[..., None]


class Numbered:
    """Encoder whose vector of a position is (position, 1), or (−position, words of the text) without a cache."""

    width = 2

    def encode(self, corpus, split):
        numbers = np.arange(len(getattr(corpus, split)))
        return SimpleNamespace(vectors=np.stack([numbers, np.ones_like(numbers)], 1).astype(np.float16))

    def vectors(self, words):
        numbers = torch.arange(len(words))
        return torch.stack([-numbers, torch.full_like(numbers, len(words))], 1).float()


@pytest.fixture(scope="module")
def inputs(vocabulary) -> Inputs:
    return Inputs(vocabulary)


def epoch(streams: Streams, number: int = 0) -> list:
    """Return the batches of one epoch of the endless stream."""
    epochs: list[list] = []
    for batch in streams:
        if batch.fresh:
            epochs.append([])
        if len(epochs) == number + 2:
            return epochs[number]
        epochs[-1].append(batch)


def positions_of(batches: list) -> np.ndarray:
    """Return the training positions of an epoch, one row per stream."""
    return torch.cat([batch.vectors[..., 0] for batch in batches], dim=1).numpy().astype(int)


def test_batch_continues_where_the_previous_batch_ended(inputs, corpus):
    batches = epoch(Streams(inputs, Positions(), streams=STREAMS, steps=STEPS, seed=0))
    columns = len(corpus.train) // STREAMS
    assert [batch.fresh for batch in batches] == [True] + [False] * (len(batches) - 1)
    assert [batch.words.shape for batch in batches[:-1]] == [(STREAMS, STEPS)] * (columns // STEPS)
    assert batches[-1].words.shape == (STREAMS, columns % STEPS)
    assert sum(batch.trained_words for batch in batches) == STREAMS * columns
    read = positions_of(batches).flatten().tolist()
    spans = dict(itertools.pairwise(corpus.train.starts.tolist()))
    order = [position for position in read if position in spans]
    whole = [position for start in order for position in range(start, spans[start])]
    assert read == whole[: len(read)]  # whole documents, except the last one
    assert order != sorted(order)


def test_epoch_reads_each_position_at_most_once(inputs, corpus):
    for number in (0, 1):
        read = positions_of(epoch(Streams(inputs, Positions(), streams=7, steps=STEPS, seed=0), number))
        assert len(np.unique(read)) == read.size == len(corpus.train) // 7 * 7


def test_words_inputs_and_vectors_belong_to_the_same_positions(inputs, vocabulary, corpus):
    batches = epoch(Streams(inputs, Positions(), streams=STREAMS, steps=STEPS, seed=1))
    read, ids = positions_of(batches), vocabulary.encode(corpus.train.words)
    words, before = (torch.cat([batch[part] for batch in batches], dim=1).numpy() for part in (1, 0))
    assert words.tolist() == ids[read].tolist()
    starts = set(corpus.train.starts.tolist())
    expected = [[len(vocabulary) if t in starts else ids[t - 1] for t in row] for row in read.tolist()]
    assert before.tolist() == expected
    assert (before == len(vocabulary)).sum() == len(starts) - 1


def test_order_depends_on_seed_and_epoch_only(inputs):
    def order(seed: int, number: int) -> list:
        streams = Streams(inputs, None, streams=STREAMS, steps=STEPS, seed=seed)
        return streams.positions(number, np.arange(streams.columns)).tolist()

    assert order(0, 0) == order(0, 0)
    orders = [order(seed, number) for seed in (0, 1) for number in (0, 1)]
    assert all(one != other for one, other in itertools.combinations(orders, 2))
    streams = Streams(inputs, Positions(), streams=STREAMS, steps=STEPS, seed=1)
    assert positions_of(epoch(streams, 1)).tolist() == order(1, 1)


def test_contextual_inputs_are_vectors_of_the_preceding_words(vocabulary, corpus):
    inputs = Inputs(vocabulary, Numbered())
    assert inputs.width == 2
    first = int(corpus.train.starts[1])
    at = np.array([[0, 1, 2], [first - 1, first, first + 1]])
    read = inputs.at(corpus.train, "train", at)
    assert read.tolist() == [[[0, 0], [0, 1], [1, 1]], [[first - 2, 1], [0, 0], [first, 1]]]
    other = concatenate([corpus.train.words[:3], corpus.train.words[:4]])
    assert inputs.at(other, None, np.array([0, 2, 3, 6])).tolist() == [[0, 0], [-1, 7], [0, 0], [-5, 7]]
    assert inputs.vectors("train") is inputs.vectors("train")


def test_width_is_none_when_inputs_are_ids(inputs):
    assert inputs.width is None


def test_loader_yields_the_batches_of_the_stream(inputs):
    settings = {"streams": STREAMS, "steps": STEPS, "seed": 0}
    loaded = iter(WordData(inputs, Positions(), **settings).train_dataloader())
    for batch, expected in zip(itertools.islice(loaded, 3), Streams(inputs, Positions(), **settings), strict=False):
        assert type(batch) is type(expected)
        for part, value in zip(batch[:3], expected[:3], strict=True):
            assert torch.equal(part, value)
        assert batch.fresh is expected.fresh
    assert next(iter(WordData(inputs, None, **settings).train_dataloader())).vectors is None


def test_prefetched_batches_equal_direct_batches(inputs):
    batches = Streams(inputs, Positions(), streams=STREAMS, steps=STEPS, seed=0)
    batches.start = 5
    threads = threading.active_count()
    ahead = iter(Prefetch(batches))
    for step, batch in zip(range(5, 30), ahead, strict=False):
        expected = batches.batch(step)
        assert all(torch.equal(part, value) for part, value in zip(batch[:3], expected[:3], strict=True))
        assert batch.fresh is expected.fresh
    ahead.close()
    assert threading.active_count() == threads


def test_error_in_prefetch_is_raised_at_its_step(inputs, monkeypatch):
    batches = Streams(inputs, None, streams=STREAMS, steps=STEPS, seed=0)
    make = Streams.batch
    monkeypatch.setattr(Streams, "batch", lambda self, step: make(self, step if step < 2 else 1 / 0))
    ahead = iter(Prefetch(batches))
    assert [next(ahead).fresh, next(ahead).fresh] == [True, False]
    with pytest.raises(ZeroDivisionError):
        next(ahead)


@pytest.mark.parametrize(("kind", "is_prefetched"), [("cuda", True), ("cpu", False)])
def test_batches_are_prefetched_in_pinned_memory_only_with_a_gpu(inputs, kind, is_prefetched):
    data = WordData(inputs, None, streams=STREAMS, steps=STEPS, seed=0)
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(kind)))
    loader = data.train_dataloader()
    assert (loader.pin_memory, isinstance(loader.dataset, Prefetch)) == (is_prefetched, is_prefetched)


def test_data_module_refuses_text_with_fewer_words_than_streams():
    made = build_corpus("short", {"train": [["a", "b", "a"]], "validation": [["a"]], "test": [["a"]]})
    inputs = Inputs(Vocabulary(made, 2))
    WordData(inputs, None, streams=3, steps=1, seed=0)
    with pytest.raises(SettingError, match=r"^batch.streams: 4 is more than the 3 words"):
        WordData(inputs, None, streams=4, steps=1, seed=0)
