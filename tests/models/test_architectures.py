"""Ranks and generations of pre-trained architectures and tokeniser styles, compared with plain passes per word."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from factories.models import CORPUS, sharpened, tiny_model
from factories.references import history_of, plain_generation
from numpy.testing import assert_allclose, assert_array_equal
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from bench.core.errors import SettingError
from bench.cost.flops import flops_or_none
from bench.data.vocabulary import Vocabulary
from bench.evaluation.subword_brier import brier_n
from bench.evaluation.subword_generation import generate
from bench.evaluation.subword_nats import word_nats
from bench.evaluation.subword_search import search
from bench.evaluation.subword_trie import build_trie
from bench.models.causal_lm import SubwordModel

VOCABULARY = Vocabulary(CORPUS, 40)

CONTEXT = 28  # pieces; more than three times the window of the architectures that have one

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
WINDOW = {"num_key_value_heads": 1, "sliding_window": 8}

ARCHITECTURES = {
    "llama": SIZES,
    "mistral": SIZES | WINDOW,
    "gemma2": SIZES | WINDOW | {"head_dim": 8},
    "gemma3_text": SIZES | WINDOW | {"head_dim": 8},
    "gpt_neo": {
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
        "bos_token_id": 0,
        "eos_token_id": 0,
    },
    "mpt": {"d_model": 16, "n_heads": 2, "n_layers": 2, "max_seq_len": 64},
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
    "opt": SIZES | {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "falcon": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
    "rwkv": {"hidden_size": 16, "num_hidden_layers": 2, "context_length": 64},
    "mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
    "recurrent_gemma": SIZES | {"num_hidden_layers": 3, "lru_width": 16, "attention_window_size": 8},
    "mixtral": SIZES | {"num_key_value_heads": 1, "num_local_experts": 4, "num_experts_per_tok": 2},
    "xglm": {"d_model": 16, "ffn_dim": 32, "num_layers": 2, "attention_heads": 2},
}
EXACT_CACHE = {"llama", "opt", "falcon", "mixtral", "xglm"}  # plain global attention
CAPPED_LOGITS = {"gemma2", "recurrent_gemma"}  # the others read their last hidden states by a linear layer alone
FAST = {"mistral"}  # not marked slow


def checkpoint(place: Path, architecture: str, tokenizer: PreTrainedTokenizerFast) -> str:
    """Save a model with random weights and a tokeniser, and return the folder."""
    torch.manual_seed(1)
    config = AutoConfig.for_model(architecture, vocab_size=len(tokenizer), **ARCHITECTURES[architecture])
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return str(place)


@torch.inference_mode()
def plain_logs(model: SubwordModel, position: int, longest: int) -> np.ndarray:
    """Compute log p of every word of the vocabulary by a plain pass per word; −inf for words outside it. [L]"""
    history, pieces = history_of(model, position, longest), model.pieces
    logs = np.full(len(CORPUS.lexicon), -np.inf)
    for word in np.flatnonzero(VOCABULARY.ids != VOCABULARY.unk):
        spelling = pieces.encode_words(np.array([word]))
        line = torch.from_numpy(np.concatenate([history, spelling]))
        p = model.lm(line[None], use_cache=False).logits[0].double().log_softmax(-1)
        at = np.arange(len(history) - 1, len(line) - 1)
        masses = p[[at[0], -1]][:, pieces.initial].logsumexp(-1)
        logs[word] = float(p[at, spelling].sum() + masses[1] - masses[0])
    return logs


def assert_ranks_are_those_of_plain_passes(model: SubwordModel) -> None:
    trie, positions = build_trie(model, VOCABULARY), np.arange(1, len(CORPUS.test), 5)
    expected = []
    with model.evaluating():
        for position in positions.tolist():
            logs = plain_logs(model, position, model.context - trie.depth)
            true = CORPUS.test.words[position]
            rank = 1 + (logs > logs[true]).sum() if np.isfinite(logs[true]) else np.inf
            expected.append(rank if rank <= 10 else np.inf)
    assert len(np.unique(expected)) > 3
    assert_array_equal(search(model, CORPUS.test, positions, trie), np.array(expected, np.float32))


@pytest.mark.parametrize(
    "architecture", [each if each in FAST else pytest.param(each, marks=pytest.mark.slow) for each in ARCHITECTURES]
)
def test_architecture_is_measured_as_by_plain_passes(architecture, tmp_path, capfd, monkeypatch):
    folder = checkpoint(tmp_path, architecture, tiny_model().pieces.tokenizer)
    model = sharpened(tiny_model(pretrained=folder, context=CONTEXT))
    assert_ranks_are_those_of_plain_passes(model)
    assert model.exact_cache == (architecture in EXACT_CACHE)
    lines = [line for line in capfd.readouterr().err.splitlines() if "use plain passes, which is slower" in line]
    assert len(lines) == (architecture not in EXACT_CACHE)
    with model.evaluating():
        prompt = CORPUS.test.words[:4].tolist()
        # shorter words, so that the text fits into the context
        monkeypatch.setattr("bench.evaluation.subword_generation.LONGEST_WORD", 3)
        assert generate(model, prompt, 4, greedy=True) == plain_generation(model, CORPUS.words_of(prompt), 4, longest=3)
        nats = -plain_logs(model, 41, CONTEXT)[CORPUS.test.words[41]]  # the second document fits into one window
    assert_allclose(word_nats(model, CORPUS.test)[41], nats, rtol=1e-4)
    flops = flops_or_none(lambda: model.flops_per_position(None), architecture)
    assert flops is None or flops > 0
    assert model.linear_output == (architecture not in CAPPED_LOGITS)
    batch = model.datamodule(seed=0).batches.batch(0)
    model.lm.eval()
    logits = model.lm(batch.pieces[:, :-1], use_cache=False).logits.flatten(0, 1)
    loss = F.cross_entropy(logits, batch.pieces[:, 1:].flatten())
    assert_allclose(model.training_step(batch, 0).item(), loss.item(), rtol=1e-5)


def test_plain_passes_give_the_ranks_draws_and_generations_of_the_cache():
    model = sharpened(tiny_model(context=24))
    positions = np.arange(0, 36, 3)

    def measured() -> tuple:
        ranks = search(model, CORPUS.test, positions, build_trie(model, VOCABULARY))
        words = generate(model, [0] * 12, 20, greedy=False, seed=3)
        return ranks.tolist(), brier_n(model, CORPUS.test, np.tile(positions, 20)).tolist(), words

    assert model.exact_cache
    cached = measured()
    model.__dict__["exact_cache"] = False  # where a cached property keeps its value
    assert measured() == cached


def tokenizer_of(style: str) -> PreTrainedTokenizerFast:
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    settings = {"special_tokens": list(special.values()), "vocab_size": 320, "show_progress": False}
    if style == "word pieces":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(**settings)
    elif style in ("byte level", "lower case"):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(**settings, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    else:
        fallback = style == "bytes as a fallback"
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=fallback))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        if fallback:
            settings["special_tokens"] += [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(**settings | {"vocab_size": 350 if fallback else 200})
    ascii_only = [word for word in CORPUS.lexicon if word.isascii()]
    tokenizer.train_from_iterator(ascii_only if style == "bytes as a fallback" else CORPUS.lexicon, trainer)
    if style == "lower case":
        tokenizer.normalizer = normalizers.BertNormalizer(handle_chinese_chars=False)  # strips accents too
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


@pytest.mark.slow
@pytest.mark.parametrize("style", ["byte level", "bytes as a fallback", "no fallback"])
def test_tokeniser_style_is_measured_as_by_plain_passes(style, tmp_path):
    model = sharpened(tiny_model(pretrained=checkpoint(tmp_path, "llama", tokenizer_of(style)), context=CONTEXT))
    assert model.pieces.decode(model.pieces.encode_words(CORPUS.test.words).tolist()) == CORPUS.words_of(
        CORPUS.test.words
    )
    assert_ranks_are_those_of_plain_passes(model)


def test_histories_of_draws_and_generations_begin_with_bos(tmp_path):
    model = sharpened(tiny_model(pretrained=checkpoint(tmp_path, "llama", tokenizer_of("byte level"))))
    bos, read_lines, histories = model.pieces.tokenizer.bos_token_id, model.read_lines, []
    model.read_lines = lambda lines: read_lines(histories.extend(lines) or lines)
    brier_n(model, CORPUS.test, np.arange(36))
    drawn = len(histories)
    generate(model, [0] * 20, 10, greedy=False)
    assert drawn == 36 and len(histories) > drawn + 1  # the context was filled, and half of it read again
    assert {int(history[0]) for history in histories} == {bos} != {model.pieces.end}


@pytest.mark.parametrize(
    ("style", "problem"),
    [("word pieces", "does not mark where words begin"), ("lower case", "'naïve' becomes 'naive'")],
)
def test_tokeniser_style_that_would_give_wrong_probabilities_is_refused(style, problem, tmp_path):
    with pytest.raises(SettingError, match=rf"^system\.pretrained: its tokeniser .*{problem}"):
        tiny_model(pretrained=checkpoint(tmp_path, "llama", tokenizer_of(style)))
