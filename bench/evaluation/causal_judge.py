"""Second outside judge of generated text: a pre-trained causal LM, which has read other text than the corpus."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from bench.core.errors import SettingError
from bench.models.causal_lm_builders import load_causal_lm

Words = tuple[tuple[str, ...], ...]


class CausalJudge:
    """Perplexity per word under a pre-trained causal LM.

    Words are joined by spaces, as the corpus has them (in lower case, punctuation apart), so real text too is unusual
    to the model: compare with real text.

    Args:
        name: folder or hub name of the model.

    Raises:
        SettingError: there is no such model.
    """

    def __init__(self, name: str):
        self.name = name
        lm, self.tokenizer = load_causal_lm(name, "--judge")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.lm = lm.eval().to(self.device)
        self.begin = leading_tokens(self.tokenizer)

    def perplexity(self, prompts: Sequence[Sequence[str]], texts: Sequence[Sequence[str]]) -> float | None:
        """Return exp(−Σ log p / words) of the words of the texts, each after its prompt; None if there are no words.

        Raises:
            SettingError: a text has more pieces than the model can read.
        """
        return self._perplexity(tuple(map(tuple, prompts)), tuple(map(tuple, texts)))

    @functools.lru_cache(maxsize=3)  # noqa: B019 - one judge per command; keeps the real text, which all records share
    def _perplexity(self, prompts: Words, texts: Words) -> float | None:
        words = sum(map(len, texts))
        if not words:
            return None
        nats = sum(self.nats(prompt, text) for prompt, text in zip(prompts, texts, strict=True) if text)
        return math.exp(nats / words)

    @torch.inference_mode()
    def nats(self, prompt: Sequence[str], text: Sequence[str]) -> float:
        """Return the sum of −log p over the text's pieces, given the prompt, in nats.

        Prompt and text are read as one line, since some tokenisers put a space before every line of their own.

        Raises:
            SettingError: the line is too long for the model, or its pieces do not begin with those of the prompt.
        """
        before, line = (
            self.tokenizer(" ".join(words), add_special_tokens=False, split_special_tokens=True).input_ids
            for words in (prompt, [*prompt, *text])
        )
        if line[: len(before)] != before:
            raise SettingError(
                "--judge", f"the tokeniser of {self.name} joins words; give a model that splits at spaces"
            )
        context = self.begin + before
        ids = torch.tensor([self.begin + line], device=self.device)  # [1, T]
        longest = getattr(self.lm.config, "max_position_embeddings", math.inf)
        if ids.shape[1] > longest:
            problem = f"{self.name} reads {longest} pieces, and a prompt with its text has {ids.shape[1]}"
            raise SettingError("--judge", f"{problem}; give a model with a longer context")
        logits = self.lm(input_ids=ids).logits[0, len(context) - 1 : -1].float()
        return F.cross_entropy(logits, ids[0, len(context) :], reduction="sum").item()


def leading_tokens(tokenizer: Any) -> list[int]:
    """Return the special tokens that a tokeniser puts before a text, as Llama's does and GPT-2's does not."""
    text = tokenizer("a", add_special_tokens=False).input_ids
    special = tokenizer("a").input_ids
    return next(special[:at] for at in range(len(special)) if special[at : at + len(text)] == text)
