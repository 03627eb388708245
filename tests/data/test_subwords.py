"""Words, their pieces and training batches, compared with the tokeniser itself."""

import itertools

import numpy as np
import pytest
import torch
from factories.models import tiny_corpus
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from bench.core.errors import SettingError
from bench.data.corpus import Corpus, build_corpus
from bench.data.piece_batches import PieceBatches
from bench.data.subwords import BOUNDARY, Pieces, learn
from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.evaluation.subword_trie import Trie


@pytest.fixture(scope="module")
def corpus():
    return tiny_corpus()


@pytest.fixture(scope="module")
def pieces(corpus):
    return Pieces(learn(corpus, 300), corpus)


def test_pieces_of_a_document_are_those_of_its_words_joined_by_spaces(corpus, pieces):
    for document in corpus.test.documents():
        whole = pieces.tokenizer.encode(" " + " ".join(corpus.words_of(document)), add_special_tokens=False)
        assert pieces.encode_words(document).tolist() == whole


def test_boundaries_are_between_documents_and_first_pieces_are_located(corpus, pieces):
    line, text = pieces.encode_text(corpus.test), corpus.test
    assert pieces.begin == pieces.end
    assert (line == pieces.begin).sum() == 4 and line[0] == line[-1] == pieces.begin
    expected, at = [], 0
    for document in text.documents():
        at += 1
        for word in document:
            expected.append(at)
            at += pieces.lengths[word]
    assert pieces.first_pieces(text).tolist() == expected
    assert np.flatnonzero(pieces.begins[line]).tolist() == expected
    assert set(pieces.initial) == {*np.flatnonzero(pieces.begins), pieces.end}
    begins, ends = pieces.document_edges(text)
    assert [*begins, ends[-1]] == np.flatnonzero(line == pieces.begin).tolist() and (begins[1:] == ends[:-1]).all()


def test_pieces_decode_to_their_words(corpus, pieces):
    words = corpus.train.words
    assert pieces.decode(pieces.encode_words(words).tolist()) == corpus.words_of(words)


def test_learnt_tokeniser_is_repeatable_and_depends_on_the_training_split_alone(corpus):
    alone = build_corpus(
        "alone",
        {split: [corpus.words_of(corpus.train.words[:900])] for split in ("train", "validation", "test")},
    )
    unseen = build_corpus(
        "unseen",
        {"train": [alone.words_of(alone.train.words)], "validation": [["zzzz"] * 99], "test": [["zzzz"]]},
    )
    assert learn(alone, 290).get_vocab() == learn(unseen, 290).get_vocab() == learn(alone, 290).get_vocab()


def test_too_few_pieces_for_the_bytes_are_refused(corpus):
    with pytest.raises(SettingError, match=r"^system\.model\.pieces: 256 is less than 257"):
        learn(corpus, 256)


def wrapped(vocabulary: dict[str, int], pre_tokenizer: object, **special: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **special)


def test_tokenisers_that_cannot_price_words_are_refused(corpus):
    space, words = pre_tokenizers.Metaspace(), corpus.lexicon
    plain = {word: i + 2 for i, word in enumerate(words)} | {"<unk>": 0, "</s>": 1}
    marked = {f"▁{word}": i + 2 for i, word in enumerate(words)} | {"<unk>": 0, "</s>": 1}
    lacking = {token: i for token, i in marked.items() if token != f"▁{words[5]}"}
    with pytest.raises(SettingError, match="does not mark where words begin"):
        Pieces(wrapped(plain, pre_tokenizers.WhitespaceSplit(), eos_token="</s>"), corpus)
    with pytest.raises(SettingError, match="neither BOS nor EOS token; take another"):
        Pieces(wrapped(marked, space), corpus)
    with pytest.raises(SettingError, match=f"cannot spell '{words[5]}'"):
        Pieces(wrapped(lacking, space, eos_token="</s>"), corpus)
    accepted = Pieces(wrapped(marked, space, eos_token="</s>"), corpus)
    assert accepted.lengths.tolist() == [1] * (len(words) + 2)


def test_unknown_word_of_the_text_is_spelt_though_the_tokeniser_has_such_a_token():
    words = ["a", "<unk>", "b"] * 9
    corpus = build_corpus("ptb", {split: [words] for split in ("train", "validation", "test")})
    tokenizer = learn(corpus, 300)
    tokenizer.add_special_tokens({"unk_token": "<unk>"})
    assert tokenizer.unk_token_id in tokenizer(" <unk>", add_special_tokens=False)["input_ids"]
    pieces = Pieces(tokenizer, corpus)
    assert tokenizer.unk_token_id not in pieces.encode_text(corpus.test)
    assert pieces.decode(pieces.encode_words(corpus.test.words).tolist()) == words


def test_end_of_text_token_is_preferred_to_end_of_turn_token(corpus):
    tokens = ["<unk>", "<turn>", BOUNDARY, "<start>", *(f"▁{word}" for word in corpus.lexicon)]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    for special in ({}, {"bos_token": "<start>"}):
        tokenizer = wrapped(vocabulary, pre_tokenizers.Metaspace(), eos_token="<turn>", **special)
        pieces = Pieces(tokenizer, corpus)  # an ordinary token of this name, as in OPT's vocabulary, is no boundary
        assert (pieces.begin, pieces.end) == ((3 if special else 1), 1)
        tokenizer.add_special_tokens({"additional_special_tokens": [BOUNDARY]})
        pieces = Pieces(tokenizer, corpus)
        assert pieces.begin == pieces.end == 2


@pytest.mark.parametrize(
    ("special", "begin", "end"),
    [
        ({"bos_token": "<s>", "eos_token": "</s>"}, 1, 2),
        ({"bos_token": "<s>"}, 1, 1),
        ({"eos_token": "</s>"}, 2, 2),
        ({"bos_token": "<s>", "eos_token": BOUNDARY}, 1, 3),
    ],
)
def test_bos_begins_and_eos_ends_a_document(corpus, special, begin, end):
    tokens = ["<unk>", "<s>", "</s>", *([BOUNDARY] * (end == 3)), *(f"▁{word}" for word in corpus.lexicon)]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    pieces = Pieces(wrapped(vocabulary, pre_tokenizers.Metaspace(), **special), corpus)
    assert (pieces.begin, pieces.end) == (begin, end) and pieces.initial[-1] == end
    documents = [pieces.encode_words(document).tolist() for document in corpus.test.documents()]
    if begin == end:
        expected = [begin, *(piece for document in documents for piece in [*document, begin])]
    else:
        expected = [piece for document in documents for piece in [begin, *document, end]]
    line = pieces.encode_text(corpus.test)
    assert line.tolist() == expected
    assert pieces.counts(corpus.test, 400).tolist() == np.bincount(line, minlength=400).tolist()
    begins, ends = pieces.document_edges(corpus.test)
    assert (line[begins] == begin).all() and (line[ends] == end).all()
    assert [line[i + 1 : j].tolist() for i, j in zip(begins, ends, strict=True)] == documents
    assert (line[pieces.first_pieces(corpus.test)] == pieces.encode_words(corpus.test.words)).all()
    batches = PieceBatches(pieces, corpus.train, rows=3, length=20, seed=4)
    rows = batches.batch(1).pieces
    trained = corpus.train.documents()
    whole = pieces.encode_text(concatenate([trained[i] for i in batches.shuffled]))
    for start in range(0, len(whole), 5):
        assert batches.read(start, min(start + 8, len(whole))).tolist() == whole[start : start + 8].tolist()
    assert (begin == end) or (rows[:, 0] == begin).all()


def bpe(corpus: Corpus, style: str, normalizer: object = None) -> PreTrainedTokenizerFast:
    """A tokeniser of 300 pieces learnt from the lexicon, in one of the styles that are in use."""
    special = ["<unk>", "<s>", "</s>"]
    settings = {"special_tokens": special, "vocab_size": 300, "show_progress": False}
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if style == "bytes":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        settings["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    else:
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator([" ".join(corpus.lexicon)], trainers.BpeTrainer(**settings))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def lossy_corpus(*words: str) -> Corpus:
    text = ["ka", "to", *words] * 3
    return build_corpus("lossy", {split: [text] for split in ("train", "validation", "test")})


@pytest.mark.parametrize(
    ("normalizer", "words", "named"),
    [
        (normalizers.Lowercase(), ["Ka", "kA", "TO", "To"], r"'To' becomes 'to', .*, .* and 1 more; take a model"),
        (normalizers.NFKC(), ["ﬁn"], "'ﬁn' becomes 'fin'"),
        (normalizers.Replace("ka", ""), [], "'ka' becomes ''"),
        (normalizers.StripAccents(), ["naïve"], "'naïve' becomes 'naive'|'naïve'"),
    ],
)
@pytest.mark.parametrize("style", ["bytes", "metaspace"])
def test_tokeniser_that_loses_a_part_of_a_word_is_refused_by_the_words(style, normalizer, words, named):
    if isinstance(normalizer, normalizers.StripAccents):
        normalizer = normalizers.Sequence([normalizers.NFD(), normalizer])
    corpus = lossy_corpus(*words)
    Pieces(bpe(corpus, "bytes"), corpus)
    with pytest.raises(SettingError, match=rf"^system\.pretrained: its tokeniser .*{named}"):
        Pieces(bpe(corpus, style, normalizer), corpus)


def test_unspellable_words_are_refused_by_three_of_them():
    seen, corpus = lossy_corpus(), lossy_corpus("日本", "é", "ü", "🙂")
    with pytest.raises(SettingError, match=r"cannot spell '\S+', '\S+', '\S+' and 1 more; take a model with a byte"):
        Pieces(bpe(seen, "metaspace"), corpus)
    Pieces(bpe(seen, "bytes"), corpus)


def test_epoch_of_batches_is_its_documents_cut_into_windows(corpus, pieces):
    batches = PieceBatches(pieces, corpus.train, rows=3, length=20, seed=4)
    steps = batches.windows // 3
    epoch = [batches.batch(step) for step in range(steps)]
    assert all(batch.pieces.shape == (3, 21) and batch.pieces.dtype == torch.int64 for batch in epoch)
    documents = corpus.train.documents()
    line = pieces.encode_text(concatenate([documents[i] for i in batches.shuffled]))
    for start in range(0, len(line) - 1, 7):
        assert batches.read(start, min(start + 9, len(line))).tolist() == line[start : start + 9].tolist()
    assert sorted(line) == sorted(pieces.encode_text(corpus.train))
    windows = {tuple(line[start : start + 21]) for start in range(0, len(line) - 20, 20)}
    dealt = [tuple(row) for batch in epoch for row in batch.pieces.tolist()]
    assert set(dealt) <= windows and len(set(dealt)) >= 3 * steps - 1  # by chance two windows may be alike
    for batch in epoch:
        assert batch.trained_words == int(pieces.begins[batch.pieces[:, 1:].numpy()].sum())


def test_batch_depends_on_seed_and_step_alone(corpus, pieces):
    options = {"rows": 3, "length": 20}
    straight = [batch.pieces for batch in itertools.islice(PieceBatches(pieces, corpus.train, **options, seed=4), 80)]
    late = PieceBatches(pieces, corpus.train, **options, seed=4)
    for step in (79, 2, 40):
        assert torch.equal(late.batch(step).pieces, straight[step])
    other = PieceBatches(pieces, corpus.train, **options, seed=5)
    assert not torch.equal(other.batch(2).pieces, straight[2])
    assert not torch.equal(straight[late.windows // 3], straight[0])  # the second epoch has another order


def test_text_shorter_than_a_batch_gives_one_window(corpus, pieces):
    batches = PieceBatches(pieces, corpus.test.head(10), rows=64, length=512, seed=0)
    assert torch.equal(
        batches.batch(3).pieces.sort().values,
        torch.from_numpy(pieces.encode_text(corpus.test.head(10)))[None].sort().values,
    )


def test_trie_holds_exactly_the_vocabulary(corpus, pieces):
    vocabulary = Vocabulary(corpus, 40)
    trie = Trie(pieces, vocabulary, longest=99, device=torch.device("cpu"))
    spelt = {}
    for node in range(1, len(trie)):
        up, path = node, []
        while up:
            path.insert(0, int(trie.piece[up]))
            up = int(trie.parent[up])
        spelt[tuple(path)] = node
        assert len(path) == trie.level[node]
        children = range(int(trie.start[node]), int(trie.start[node] + trie.children[node]))
        assert all(trie.parent[child] == node for child in children)
    assert len(spelt) == len(trie) - 1 == trie.children.sum()
    known = [word for word in range(len(corpus.lexicon)) if vocabulary.ids[word] != vocabulary.unk]
    assert {tuple(pieces.encode_words(np.array([word]))): trie.node_of[word] for word in known} == {
        path: node for path, node in spelt.items() if trie.is_word[node]
    }
    assert (trie.node_of >= 0).sum() == len(known) == 39


def test_trie_paths_begin_below_the_root(corpus, pieces):
    trie = Trie(pieces, Vocabulary(corpus, 60), longest=99, device=torch.device("cpu"))
    for node, path in zip(range(1, len(trie)), trie.path(torch.arange(1, len(trie))).tolist(), strict=True):
        distinct = list(dict.fromkeys(path))
        assert path[-1] == node and trie.parent[distinct[0]] == 0 and len(distinct) == trie.level[node]
        assert [int(trie.parent[each]) for each in distinct[1:]] == distinct[:-1]


def test_trie_leaves_out_words_of_too_many_pieces(corpus, pieces):
    trie = Trie(pieces, Vocabulary(corpus, 60), longest=2, device=torch.device("cpu"))
    assert trie.depth == 2
    assert (trie.node_of[pieces.lengths[:-2] > 2] == -1).all()
