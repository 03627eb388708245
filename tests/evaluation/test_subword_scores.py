"""Probabilities per word and the exact search, compared with slow references that read every history whole."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from factories.models import CORPUS, FITTING, SHAPE, sharpened, tiny_model
from factories.references import history_of, log_word
from numpy.testing import assert_allclose, assert_array_equal
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bench.core.errors import Diverged, SettingError
from bench.core.record import POSITIONS
from bench.data.corpus import build_corpus
from bench.data.text import Text
from bench.data.vocabulary import Vocabulary
from bench.evaluation.subword_evaluator import SubwordEvaluator
from bench.evaluation.subword_nats import once_per_model, piece_nats, score_words, word_nats
from bench.evaluation.subword_search import Search, log_sums, search
from bench.evaluation.subword_trie import Trie, build_trie
from bench.models.causal_lm import SubwordModel

VOCABULARY = Vocabulary(CORPUS, 50)


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory):
    """A Llama whose tokeniser writes spaces as ▁ and spells by characters, not bytes."""
    place = tmp_path_factory.mktemp("sentencepiece")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=70, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator([" ".join(CORPUS.lexicon)], trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    wrapped.save_pretrained(place)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(1)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(wrapped), max_position_embeddings=128, **sizes)).save_pretrained(place)
    return place


@pytest.fixture(scope="module", params=["gpt2", "llama", "sentencepiece"])
def model(request, llama_folder, sentencepiece):
    source = {"gpt2": None, "llama": str(llama_folder), "sentencepiece": str(sentencepiece)}[request.param]
    return sharpened(tiny_model(context=24, pretrained=source))


def test_values_are_computed_once_per_weights_and_text():
    model, calls = tiny_model(), []

    def compute(model: SubwordModel, text: Text) -> np.ndarray:
        calls.append(text)
        return np.array([float(len(calls))])

    assert [once_per_model(compute, model, CORPUS.test)[0] for _ in range(2)] == [1.0, 1.0]
    assert once_per_model(compute, tiny_model(), CORPUS.test)[0] == 1.0  # equal weights
    assert once_per_model(compute, model, CORPUS.validation)[0] == 2.0
    with torch.no_grad():
        model.lm.transformer.wpe.weight[0, 0] += 1
    assert once_per_model(compute, model, CORPUS.test)[0] == 3.0
    model.context //= 2
    assert once_per_model(compute, model, CORPUS.test)[0] == 4.0


def test_text_that_spells_the_unknown_word_has_no_draws_as_word_models_never_draw_it():
    words = ["a", "b", "<unk>", "c"] * 40
    corpus = build_corpus("with unknown words", {"train": [words], "validation": [words], "test": [words]})
    model = SubwordModel(corpus=corpus, pretrained=None, **SHAPE, **FITTING)
    values = score_words(model, corpus.test, Vocabulary(corpus, None), search_words=5)
    assert "brier_n" not in values and np.isfinite(values["nats"]).all()


def test_context_that_no_word_fits_is_refused():
    model = tiny_model()
    with pytest.raises(SettingError, match="no word of the vocabulary has at most 0 pieces, half a context; raise it"):
        Trie(model.pieces, VOCABULARY, longest=0, device=model.device)


def test_weights_that_are_not_finite_are_a_divergence():
    model = tiny_model()
    with torch.no_grad():
        model.lm.transformer.ln_f.weight[0] = torch.nan
    with pytest.raises(Diverged, match="probabilities of word pieces that are not finite"):
        score_words(model, CORPUS.test, VOCABULARY, search_words=5)


def test_single_timed_query_has_a_history_as_long_as_the_middle_of_the_text(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "bench.evaluation.subword_evaluator.search", lambda model, text, positions, trie: asked.append(positions)
    )
    data = SimpleNamespace(vocabulary=VOCABULARY, test=CORPUS.test)
    decode = SubwordEvaluator(tiny_model()).decoder(data, 8)
    decode(1)
    decode(8)
    assert len(asked[-2]) == 1 and abs(asked[-2][0] - len(CORPUS.test) / 2) < len(CORPUS.test) / 6
    assert sorted(asked[-1]) == sorted({*asked[-1]})


@pytest.mark.parametrize("shift", [0.0, 100.0, -100.0])
@pytest.mark.parametrize("level", [0.0, -60.0, -200.0])
def test_log_sums_equal_the_sums_over_the_columns_at_any_magnitude(level, shift):
    logits = shift + torch.randn(3, 4, 50, generator=torch.Generator().manual_seed(0))
    chosen = torch.zeros(50)
    chosen[[3, 7, 40]] = 1.0
    logits[1, 2, [3, 7, 40]] += level
    total, mass = log_sums(logits, chosen)
    assert_allclose(total, logits.double().logsumexp(-1), rtol=1e-6, atol=1e-6)
    assert_allclose(mass, logits[..., [3, 7, 40]].double().logsumexp(-1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("style", ["gpt2", "sentencepiece"])
def test_nats_of_a_word_are_those_of_its_pieces_and_the_two_masses(style, sentencepiece):
    model = sharpened(tiny_model(context=128, pretrained=None if style == "gpt2" else str(sentencepiece)))
    expected = [
        -log_word(model, history_of(model, i, 128), model.pieces.encode_words(CORPUS.test.words[i : i + 1]))
        for i in range(len(CORPUS.test))
    ]
    assert_allclose(word_nats(model, CORPUS.test), expected, rtol=1e-5, atol=1e-5)
    assert model.pieces.lengths[CORPUS.test.words].max() > 2


@torch.inference_mode()
@pytest.mark.parametrize("style", ["gpt2", "sentencepiece"])
def test_nats_of_a_text_are_those_of_its_pieces_in_plain_passes(style, sentencepiece):
    """Except for the masses at the two edges of each document."""
    model = sharpened(tiny_model(context=128, pretrained=None if style == "gpt2" else str(sentencepiece)))
    total = 0.0
    for document in CORPUS.test.documents():
        pieces = model.pieces.tokenizer.encode(" " + " ".join(CORPUS.words_of(document)), add_special_tokens=False)
        line = torch.tensor([model.pieces.begin, *pieces])
        logs = model.lm(line[None]).logits[0].double().log_softmax(-1)
        begins = logs[[0, -1]][:, model.pieces.initial].logsumexp(-1)
        total -= float(logs[torch.arange(len(pieces)), line[1:]].sum() + begins[1] - begins[0])
    assert_allclose(word_nats(model, CORPUS.test).sum(), total, rtol=1e-6)


def test_masses_telescope_over_a_document(model):
    text = CORPUS.test
    piece, begin = piece_nats(model, text)
    words, (begins, ends) = word_nats(model, text), model.pieces.document_edges(text)
    for document in range(3):
        first, last = begins[document], ends[document] - 1
        total = piece[first:last].sum() - begin[first] + begin[last]
        assert_allclose(words[text.starts[document] : text.starts[document + 1]].sum(), total, rtol=1e-9)


@torch.inference_mode()
def test_pieces_of_a_long_document_have_at_least_half_a_context_of_history(model):
    line, half = model.pieces.encode_text(CORPUS.test), 12
    piece, begin = piece_nats(model, CORPUS.test)
    begins, ends = model.pieces.document_edges(CORPUS.test)
    assert (ends - begins).max() > 4 * half
    for start, end in zip(begins, ends, strict=True):
        for at in range(start, end):
            window = start + max(0, (at - start) // half - 1) * half
            assert at - window >= min(half, at - start)
            history = line[window : at + 1].copy()
            if model.pieces.begin != model.pieces.end:
                history[0] = model.pieces.begin
            logs = model.lm(torch.from_numpy(history)[None]).logits[0, -1].double().log_softmax(-1)
            assert_allclose(piece[at], -float(logs[line[at + 1]]), rtol=1e-4, atol=1e-4)
            assert_allclose(begin[at], -float(logs[model.pieces.initial].logsumexp(0)), rtol=1e-4, atol=1e-4)


def brute_force(model: SubwordModel, position: int) -> tuple[float, float]:
    """Rank of the true word among all words of the vocabulary, and the sum of their probabilities."""
    known = np.flatnonzero(VOCABULARY.ids != VOCABULARY.unk)
    spellings = [model.pieces.encode_words(known[i : i + 1]) for i in range(len(known))]
    history = history_of(model, position, model.context - max(map(len, spellings)))
    logs = np.array([log_word(model, history, spelling) for spelling in spellings])
    total, true = np.exp(logs).sum(), CORPUS.test.words[position]
    if true not in known:
        return np.inf, total
    return 1.0 + (logs > logs[np.flatnonzero(known == true)[0]]).sum(), total


def test_search_agrees_with_brute_force(model):
    positions = np.arange(0, len(CORPUS.test), 2)
    ranks, totals = np.array([brute_force(model, int(position)) for position in positions]).T
    for k in (10, 2):
        found = search(model, CORPUS.test, positions, build_trie(model, VOCABULARY), k)
        assert_array_equal(found, np.where(ranks <= k, ranks, np.inf).astype(np.float32))
        assert len(np.unique(found)) > k / 2  # the ranks differ enough for the test to fail
    assert totals.max() < 1 + 1e-6


@pytest.mark.parametrize("position", [7, 55])
def test_ten_best_words_are_those_of_brute_force_in_the_same_order(model, position):
    """Every word of the vocabulary is a goal of the search, not only the word of the text."""
    known = np.flatnonzero(VOCABULARY.ids != VOCABULARY.unk)
    trie = build_trie(model, VOCABULARY)
    history = history_of(model, position, model.context - trie.depth)
    logs = [log_word(model, history, model.pieces.encode_words(known[i : i + 1])) for i in range(len(known))]
    goals = torch.from_numpy(trie.node_of[known])
    with model.evaluating():
        found = Search(model, trie, [torch.from_numpy(history)] * len(known), goals).run(10).numpy()
    best = np.argsort(found, kind="stable")[:10]
    assert_array_equal(found[best], np.arange(1, 11))
    assert_array_equal(best, np.argsort(logs)[::-1][:10])
    assert np.isinf(np.delete(found, best)).all()


def test_ranks_do_not_depend_on_order_and_number_of_positions(model, monkeypatch):
    positions = np.arange(len(CORPUS.test))
    whole = search(model, CORPUS.test, positions, build_trie(model, VOCABULARY))
    order = np.random.default_rng(0).permutation(len(positions))
    monkeypatch.setattr("bench.evaluation.subword_search.CELLS", 8 * 290 * 3)  # three histories at a time
    assert_array_equal(search(model, CORPUS.test, order, build_trie(model, VOCABULARY)), whole[order])


def test_tied_words_share_their_ranks():
    """Weights of zero: every piece is as likely as any other, so words of equal length tie."""
    model = tiny_model(context=24)
    with torch.no_grad():
        for weight in model.lm.parameters():
            weight.zero_()
    lengths = model.pieces.lengths[:-2][VOCABULARY.ids != VOCABULARY.unk]
    trie = Trie(model.pieces, VOCABULARY, longest=12, device=model.device)
    known = np.flatnonzero(VOCABULARY.ids != VOCABULARY.unk)
    goals, history = torch.from_numpy(trie.node_of[known]), torch.tensor([model.pieces.begin])
    with model.evaluating():
        found = Search(model, trie, [history] * len(known), goals).run(len(known)).numpy()
    expected = [1 + (lengths < length).sum() + ((lengths == length).sum() - 1) / 2 for length in lengths]
    assert_array_equal(found, np.array(expected, np.float32))


def test_scored_words_have_the_fields_of_a_record(model):
    scored = score_words(model, CORPUS.test, VOCABULARY, search_words=20)
    assert tuple(scored) == (*POSITIONS, "brier_n")
    assert_array_equal(scored["word"], VOCABULARY.encode(CORPUS.test.words))
    assert_array_equal(scored["document"], np.repeat([0, 1, 2], np.diff(CORPUS.test.starts)))
    ranked = np.flatnonzero(~np.isnan(scored["rank"]))
    assert len(ranked) == 20 and ranked[0] == 0 and ranked[-1] == len(CORPUS.test) - 1
    assert np.diff(ranked).max() - np.diff(ranked).min() <= 1
    assert_array_equal(scored["rank"][ranked], search(model, CORPUS.test, ranked, build_trie(model, VOCABULARY)))
    assert np.isinf(scored["rank"][ranked][scored["word"][ranked] == VOCABULARY.unk]).all()
    assert_allclose(scored["nats"], word_nats(model, CORPUS.test), rtol=1e-6)
    assert_array_equal(scored["nats"], scored["raw_nats"])
    every = score_words(model, CORPUS.test, VOCABULARY, search_words=10**6)["rank"]
    assert not np.isnan(every).any()


@torch.inference_mode()
def test_log_likelihoods_are_those_of_lm_evaluation_harness_where_bos_and_eos_differ(sentencepiece):
    """Its convention (`prefix_token_id`): BOS, else EOS, precedes each document; read by transformers alone."""
    model = sharpened(tiny_model(context=128, pretrained=str(sentencepiece)))
    tokenizer = AutoTokenizer.from_pretrained(sentencepiece)
    prefix = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    assert prefix != tokenizer.eos_token_id
    initial = [i for token, i in tokenizer.get_vocab().items() if token.startswith("▁")] + [tokenizer.eos_token_id]
    expected = []
    for document in CORPUS.test.documents():
        pieces = tokenizer.encode(" ".join(CORPUS.words_of(document)), add_special_tokens=False)
        logs = model.lm(torch.tensor([[prefix, *pieces]])).logits[0].double().log_softmax(-1)
        masses = logs[[0, -1]][:, initial].logsumexp(-1)
        expected.append(float(masses[0] - masses[1] - logs[torch.arange(len(pieces)), pieces].sum()))
    nats = np.add.reduceat(word_nats(model, CORPUS.test), CORPUS.test.starts[:-1])
    assert_allclose(nats, expected, rtol=1e-6)
