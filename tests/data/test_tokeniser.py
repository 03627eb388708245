"""Tokenisation in blocks and in several processes against `read_document`, document by document."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import SettingError
from bench.data import collect as collect_module
from bench.data import tokeniser
from bench.data.collect import Collected, collect, cut, in_blocks
from bench.data.tokeniser import BLANK_LINES, Block, Tokeniser, tokenise
from bench.data.words import read_document

FRAGMENTS = [
    "one", "Two", "don't", "é", "東京", "😀", "<unk>", "<s>", "\u00ad", "3.5", "@-@", "…", "x" * 30,
    " ", "  ", "\n", "\n\n", "\r\n", "\r\n\r\n", "\t", "\u200b", "\u2003", "\u0085", "\n \n",
]  # fmt: skip


def collected_documents(collected: Collected) -> list[tuple[list[str], list[int]]]:
    """Return words and bytes per word of each document."""
    words = np.array([*collected.types, ""], object)[collected.text.words]
    spans = zip(collected.text.starts[:-1], collected.text.starts[1:], strict=True)
    return [(words[a:b].tolist(), collected.text.raw_bytes[a:b].tolist()) for a, b in spans]


def reference(documents: list[str], lowercase: bool = True) -> list[tuple[list[str], list[int]]]:
    """Return words and bytes per word of each document that has words, by the simple tokeniser."""
    read = [read_document(document, lowercase) for document in documents]
    return [(list(document), document.raw_bytes.tolist()) for document in read if document]


def in_parts(text: str, characters: int) -> list[str]:
    return [text[at : at + characters] for at in range(0, len(text), characters)]


def small_blocks(monkeypatch: pytest.MonkeyPatch, characters: int) -> None:
    monkeypatch.setattr(collect_module, "BLOCK", characters)
    monkeypatch.setattr(tokeniser, "usable_cores", lambda: 1)


@pytest.mark.parametrize("characters", [1, 3, 8, 40, 10_000])
@pytest.mark.parametrize("lowercase", [True, False])
def test_blocks_of_any_size_give_the_words_and_bytes_of_whole_documents(tmp_path, monkeypatch, characters, lowercase):
    small_blocks(monkeypatch, characters)
    draw = random.Random(characters)
    for trial in range(30):
        content = "".join(draw.choices(FRAGMENTS, k=draw.randrange(60)))
        parts = in_parts(content, characters)
        folder = tmp_path / str(trial)
        folder.mkdir()
        blocks = list(in_blocks([parts], blank_lines=True))
        found = collect(folder, blocks, lowercase, lambda: None)
        assert collected_documents(found) == reference(BLANK_LINES.split(content), lowercase)


@given(st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join), max_size=8), st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_joined_and_cut_documents_have_the_words_of_whole_documents(tmp_path_factory, documents, characters):
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_blocks(monkeypatch, characters)
        parts = [
            [document[at : at + characters] for at in range(0, len(document), characters)] for document in documents
        ]
        found = collect(tmp_path_factory.mktemp("text"), in_blocks(parts), True, lambda: None)
    assert collected_documents(found) == reference(documents)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join), st.integers(1, 20))
def test_pieces_join_to_the_text_and_end_after_a_run(content, characters):
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_blocks(monkeypatch, characters)
        pieces = list(cut(in_parts(content, characters)))
    assert "".join(pieces) == content
    for piece, following in itertools.pairwise(pieces):
        assert not collect_module.is_space(piece[-1])
        assert collect_module.is_space(following[0])


def blocks_of(texts: list[str]) -> Iterator[Block]:
    return (Block([text], blank_lines=False, ends=True, group=i) for i, text in enumerate(texts))


def test_several_processes_give_the_blocks_of_one_in_order(monkeypatch):
    monkeypatch.setattr(tokeniser, "usable_cores", lambda: 3)
    texts = [f"Block {i} has its own words w{i} and é{i % 3}\n" * (1 + i % 7) for i in range(40)]
    one = Tokeniser(lowercase=True)
    for found, block in zip(tokenise(blocks_of(texts), True), blocks_of(texts), strict=True):
        expected = one(block)
        assert found.group == block.group
        words, own = (np.array(each.types, object)[each.words].tolist() for each in (found, expected))
        assert words == own
        assert found.raw_bytes.tolist() == expected.raw_bytes.tolist()


def test_process_that_is_killed_is_one_line(monkeypatch):
    monkeypatch.setattr(tokeniser, "usable_cores", lambda: 2)
    start = tokeniser.worker

    def killed(lowercase: bool):
        process = start(lowercase)
        process.kill()
        return process

    monkeypatch.setattr(tokeniser, "worker", killed)
    with pytest.raises(SettingError, match=r"^corpus: a process that tokenises has ended \(exit status -9\)"):
        list(tokenise(blocks_of(["some words"] * 9), True))


@pytest.mark.parametrize("bound", ["MOST_KNOWN", "MOST_KNOWN_WORDS"])
def test_known_runs_are_forgotten_when_there_are_many(monkeypatch, bound):
    monkeypatch.setattr(tokeniser, bound, 5)
    one = Tokeniser(lowercase=True)
    for text in ("a b c d e f", "g a h", "a b"):
        found = one(Block([text], blank_lines=False, ends=True, group=0))
        assert [found.types[word] for word in found.words] == text.split()
    assert len(one.known) == 4


def test_groups_of_documents_are_kept(tmp_path: Path):
    blocks = [*in_blocks([["a"], [" "], ["b c"]], 0), *in_blocks([["d"]], 4)]
    found = collect(tmp_path, blocks, True, lambda: None)
    assert found.groups.tolist() == [0, 0, 4]
    assert collected_documents(found) == [(["a"], [1]), (["b", "c"], [1, 2]), (["d"], [1])]
