"""Vectors against plain passes of the model alone; a tiny random BERT stands in for a trained one."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from factories.encoder import PIECES, WORDS, plain_pass, save, tiny_bert, tiny_corpus, tiny_encoder
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModel,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from bench.core.errors import SettingError
from bench.targets import encoder_forward as reading
from bench.targets.encoder_forward import cut
from bench.targets.last_layer import LastLayer

NEAR = {"atol": 1e-5, "rtol": 0}  # float32, other shapes of the same product


@pytest.mark.parametrize("context", ["causal", "prefix"])
def test_vector_does_not_depend_on_later_words(encoder, context):
    reader = encoder(context=context, window=8)
    one, other = reader.vectors(WORDS), reader.vectors(WORDS[:6] + ["dogs"] * (len(WORDS) - 6))
    assert_close(one[:6], other[:6], **NEAR)
    assert (one[6] - other[6]).abs().max() > 0.1


def test_bidirectional_sees_the_future(encoder):
    reader = encoder(context="bidirectional")
    one, other = reader.vectors(WORDS[:4]), reader.vectors([*WORDS[:3], "dogs"])
    assert ((one - other).abs().amax(1) > 0.01).all()


def test_causal_equals_a_plain_pass_under_a_causal_mask(encoder, folder):
    vectors = encoder(window=5).vectors(WORDS)
    for start in (0, 5, 10):
        expected = plain_pass(folder, WORDS[start : start + 5], causal=True)
        assert_close(vectors[start : start + 5], torch.stack([pieces.mean(0) for pieces in expected]), **NEAR)


def test_prefix_equals_a_plain_pass_over_the_window_that_ends_at_the_word(encoder, folder):
    vectors = encoder(context="prefix", window=4).vectors(WORDS)
    for t in range(len(WORDS)):
        expected = plain_pass(folder, WORDS[max(0, t - 3) : t + 1], causal=False)[-1].mean(0)
        assert_close(vectors[t], expected, **NEAR)


@pytest.mark.parametrize(
    ("pooling", "pool"), [("mean", lambda x: x.mean(0)), ("first", lambda x: x[0]), ("last", lambda x: x[-1])]
)
def test_pooling_of_a_word_of_several_pieces(encoder, folder, pooling, pool):
    words = ["the", "dogs", "sat"]
    expected = plain_pass(folder, words, causal=False)
    assert [len(pieces) for pieces in expected] == [1, 4, 1]
    vectors = encoder(context="bidirectional", pooling=pooling).vectors(words)
    assert_close(vectors, torch.stack([pool(pieces) for pieces in expected]), **NEAR)


@pytest.mark.parametrize(("layer", "depth"), [(0, 0), (1, 1), (2, 2), (-2, 2), (-1, 3)])
def test_a_lower_layer_is_read_and_none_above_it_is_kept(encoder, folder, layer, depth):
    expected = plain_pass(folder, WORDS[:5], causal=True, layer=depth)
    reader = encoder(layer=layer)
    assert_close(reader.vectors(WORDS[:5]), torch.stack([pieces.mean(0) for pieces in expected]), **NEAR)
    assert len(reader._model.model.encoder.layer) == depth


@pytest.mark.parametrize(("special_tokens", "before", "after"), [("none", [], []), ("both", [2], [3])])
def test_vectors_with_special_tokens_equal_those_of_a_plain_pass(encoder, folder, special_tokens, before, after):
    ids = AutoTokenizer.from_pretrained(folder)("the cat sat", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(torch.tensor([[*before, *ids, *after]]))[0][0]
    vectors = encoder(context="bidirectional", special_tokens=special_tokens).vectors(["the", "cat", "sat"])
    assert_close(vectors, states[len(before) : len(before) + 3], **NEAR)


def test_separator_is_left_out_under_a_causal_mask(encoder):
    assert torch.equal(*(encoder(special_tokens=special).vectors(WORDS) for special in ("both", "cls")))


@pytest.mark.parametrize("context", ["causal", "prefix", "bidirectional"])
def test_vectors_do_not_depend_on_batch_or_padding(encoder, context):
    corpus, reader = tiny_corpus(), encoder(context=context, window=6)
    encoded = reader.encode(corpus, "train").vectors
    for begin, end in itertools.pairwise(corpus.train.starts):
        alone = reader.vectors(corpus.words_of(corpus.train.words[begin:end])).numpy()
        np.testing.assert_allclose(encoded[begin:end], alone, atol=2e-3, rtol=0)  # float16's step is 1e-3 at 2


def test_a_word_without_pieces_is_unknown(encoder):
    reader = encoder()
    assert torch.equal(reader.vectors(["the", "\u200b"]), reader.vectors(["the", "語"]))


def test_unknown_word_of_the_text_is_the_tokenizers_unknown_piece(encoder, folder):
    model = encoder()._model
    pieces, begins = model.tokenize(["the", "<unk>", "sat"], np.array([0, 1, 2]))
    assert begins.tolist() == [0, 1, 2, 3]
    assert pieces[1] == model.tokenizer.unk_token_id
    expected = plain_pass(folder, ["the", "[UNK]", "sat"], causal=True)
    assert_close(encoder().vectors(["the", "<unk>", "sat"]), torch.stack([each.mean(0) for each in expected]), **NEAR)


def test_a_word_longer_than_the_model_is_read_as_far_as_it_fits(encoder):
    reader = encoder()
    assert torch.equal(reader.vectors(["q" * 36]), reader.vectors(["q" * 50]))


SIZES = {"vocab_size": len(PIECES), "max_position_embeddings": 42, "initializer_range": 0.5, "pad_token_id": 0}
SAME = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
FAMILY = {
    "roberta": lambda: RobertaModel(RobertaConfig(**SIZES, **SAME)),
    "xlm_roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**SIZES, **SAME)),
    "distilbert": lambda: DistilBertModel(DistilBertConfig(**SIZES, dim=16, n_layers=3, n_heads=2, hidden_dim=32)),
}


@pytest.fixture(scope="module")
def family(folder, tmp_path_factory) -> dict[str, Path]:
    torch.manual_seed(0)
    made = {name: save(tmp_path_factory.mktemp(name), make()) for name, make in FAMILY.items()}
    return {"bert": folder} | made


@pytest.mark.parametrize("settings", [{}, {"special_tokens": "both"}, {"pooling": "first"}, {"pooling": "last"}])
@pytest.mark.parametrize("kind", ["bert", *FAMILY])
def test_shortened_last_layer_equals_the_whole_layer(family, tmp_path, monkeypatch, kind, settings):
    words = [*WORDS, "q" * 30, *WORDS]  # rows of all lengths, words of one piece and of thirty

    def read() -> tuple[torch.Tensor, torch.nn.Module]:
        made = tiny_encoder(family[kind], tmp_path, context="prefix", window=6, **settings)
        return made.vectors(words), made._model.model

    short, model = read()
    assert any(isinstance(part, LastLayer) for part in model.modules()) == (kind != "distilbert")
    monkeypatch.setattr(reading, "shorten", lambda model: None)
    whole, model = read()
    assert not any(isinstance(part, LastLayer) for part in model.modules())
    assert_close(short, whole, **NEAR)


def test_shortened_last_layer_needs_fewer_flops(encoder, monkeypatch):
    def products() -> int:
        reader = encoder(context="prefix", window=8)
        reader.vectors(["the"])
        with FlopCounterMode(display=False) as counter:
            reader.vectors(["the"] * 20)
        return counter.get_flop_counts()["Global"][torch.ops.aten.addmm]

    short = products()
    monkeypatch.setattr(reading, "shorten", lambda model: None)
    whole = products()
    positions, width, inner = 20 * (1 + 8), 16, 32  # rows are padded to the longest, [CLS] and eight words
    left_out = 2 * (2 * width * width + 2 * width * inner)  # of a position: query and output, the two layers after
    assert whole - short == (positions - 20) * left_out + 20 * 2 * width * width  # and the pooler of each row


@pytest.mark.parametrize("context", ["causal", "bidirectional"])
def test_last_layer_is_whole_if_a_pass_keeps_every_word(encoder, context):
    assert encoder(context=context)._model.last is None


def test_span_ends_at_the_limit_of_words_pieces_or_document():
    begins, starts = np.array([0, 3, 6, 7, 8, 13, 14]), np.array([0, 4, 6])
    windows = cut(begins, starts, window=3, limit=6, every_word=False)
    assert windows.tolist() == [[0, 2, 0], [2, 4, 2], [4, 6, 4]]
    prefixes = cut(begins, starts, window=3, limit=6, every_word=True)
    assert prefixes.tolist() == [[0, 1, 0], [0, 2, 1], [1, 3, 2], [1, 4, 3], [4, 5, 4], [4, 6, 5]]


@pytest.mark.parametrize("words", [1, 17, 30, 10_000])
def test_text_read_in_shards_has_the_vectors_of_the_whole(encoder, monkeypatch, words):
    corpus = tiny_corpus()
    arguments = corpus.lexicon, corpus.train.words, corpus.train.starts
    whole, found = (np.full((len(corpus.train), 16), np.nan, np.float32) for _ in range(2))
    for positions, vectors in encoder()._model.read(*arguments):
        whole[positions] = vectors
    monkeypatch.setattr(reading, "SHARD", words)
    for positions, vectors in encoder()._model.read(*arguments):
        assert np.isnan(found[positions]).all()  # each position once
        found[positions] = vectors
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_shards_are_consecutive_documents():
    starts = np.array([0, 4, 6, 16, 17, 18])
    starts_of = {1: [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)], 7: [(0, 2), (2, 3), (3, 5)], 18: [(0, 5)]}
    for words, expected in starts_of.items():
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(reading, "SHARD", words)
            assert list(reading.shards(starts)) == expected


def test_encoder_whose_attention_does_nothing_is_refused(tmp_path):
    folder = tiny_bert(tmp_path / "bert")
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        for layer in model.encoder.layer:
            layer.attention.output.dense.weight.zero_()
    model.save_pretrained(folder)
    with pytest.raises(SettingError, match="bert reads no context on this machine"):
        tiny_encoder(folder, tmp_path, context="bidirectional").vectors(WORDS)
