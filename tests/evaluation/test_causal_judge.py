"""Perplexity per word of texts under a pre-trained causal LM, beside the model's own loss."""

import math
from types import SimpleNamespace

import pytest
import torch
from tokenizers import normalizers, processors
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.core.errors import SettingError
from bench.evaluation.causal_judge import CausalJudge, leading_tokens

PROMPTS, TEXTS = [["a", "b", "a"], ["b", "b", "a"]], [["b", "a"], ["a", "a", "b"]]


@pytest.fixture(scope="module")
def judge(llama_folder):
    return CausalJudge(str(llama_folder))


def test_perplexity_is_that_of_the_models_own_loss_on_the_text_alone(judge, llama_folder):
    lm = AutoModelForCausalLM.from_pretrained(llama_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    nats = 0.0
    for prompt, text in zip(PROMPTS, TEXTS, strict=True):
        context, pieces = (
            tokenizer(part, add_special_tokens=False).input_ids for part in (" ".join(prompt), " " + " ".join(text))
        )
        labels = torch.tensor([[-100] * len(context) + pieces])  # transformers' mark of positions without a loss
        with torch.no_grad():
            nats += lm(torch.tensor([context + pieces]), labels=labels).loss.item() * len(pieces)
    assert judge.perplexity(PROMPTS, TEXTS) == pytest.approx(math.exp(nats / 5), rel=1e-5)


def test_texts_begin_with_the_bos_that_the_tokeniser_adds(judge, llama_folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    bos = tokenizer.bos_token
    assert leading_tokens(tokenizer) == []
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    assert leading_tokens(tokenizer) == [tokenizer.bos_token_id]
    tokenizer.save_pretrained(tmp_path)
    AutoModelForCausalLM.from_pretrained(llama_folder).save_pretrained(tmp_path)
    with_bos = CausalJudge(str(tmp_path))
    assert with_bos.begin == [tokenizer.bos_token_id]
    ids = torch.tensor([with_bos.begin + tokenizer("a b a", add_special_tokens=False).input_ids])
    text = torch.tensor([tokenizer(" b", add_special_tokens=False).input_ids])
    with torch.no_grad():
        log_p = with_bos.lm(torch.cat([ids, text], 1)).logits[0].log_softmax(1)
    expected = -log_p[ids.shape[1] - 1 : -1].gather(1, text.T).sum().item()
    assert with_bos.nats(["a", "b", "a"], ["b"]) == pytest.approx(expected, rel=1e-5)


def test_text_is_priced_without_the_space_that_a_tokeniser_puts_before_every_line(llama_folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    tokenizer.backend_tokenizer.normalizer = normalizers.Prepend(" ")  # as in Llama 2
    tokenizer.save_pretrained(tmp_path)
    AutoModelForCausalLM.from_pretrained(llama_folder).save_pretrained(tmp_path)
    judge, (prompt, text) = CausalJudge(str(tmp_path)), (["a", "b"], ["b", "a"])
    ids = torch.tensor([tokenizer("a b b a", add_special_tokens=False).input_ids])
    read = len(tokenizer("a b", add_special_tokens=False).input_ids)
    with torch.no_grad():
        log_p = judge.lm(ids).logits[0].log_softmax(1)
    expected = -log_p[read - 1 : -1].gather(1, ids[0, read:, None]).sum().item()
    assert judge.nats(prompt, text) == pytest.approx(expected, rel=1e-5)


def test_tokeniser_that_joins_words_is_refused(judge, monkeypatch):
    ids = {"a b": [1, 2], "a b a": [1, 3]}
    joined = lambda line, **_: SimpleNamespace(input_ids=ids[line])  # noqa: E731
    monkeypatch.setattr(judge, "tokenizer", joined)
    with pytest.raises(SettingError, match=r"^--judge: the tokeniser of .* joins words; give a model that splits at"):
        judge.nats(["a", "b"], ["a"])


def test_perplexity_without_words_is_none(judge):
    assert judge.perplexity([["a"]], [[]]) is None


def test_text_longer_than_the_models_context_is_refused(judge):
    with pytest.raises(SettingError, match=r"^--judge: .* reads 32 pieces, and a prompt with its text has \d+; give a"):
        judge.perplexity([["a"] * 30], [["a"] * 10])


def test_real_text_is_read_once_for_several_systems(judge, monkeypatch):
    read = []
    monkeypatch.setattr(judge, "nats", lambda _, text: read.append(text) or 1.0)
    for system in ("a", "b"):  # real, greedy and sampled text, as every record has them
        for text in (["real"], [system, "greedy"], [system, "sampled"]):
            judge.perplexity([["a"]], [text])
    assert read.count(("real",)) == 1 and len(read) == 5


def test_special_tokens_of_a_text_are_read_as_their_letters(judge):
    lines = []
    judge_of_lines = CausalJudge.__new__(CausalJudge)
    judge_of_lines.__dict__.update(judge.__dict__)

    def tokenizer(line: str, **options: bool):
        lines.append(options)
        return judge.tokenizer(line, **options)

    judge_of_lines.tokenizer = tokenizer
    judge_of_lines.nats(["a"], ["b"])
    assert lines == [{"add_special_tokens": False, "split_special_tokens": True}] * 2
