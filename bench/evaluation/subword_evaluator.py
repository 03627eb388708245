"""Evaluator of the causal LM over word pieces; its figures are per word, as those of word models are."""

from collections.abc import Callable

import numpy as np

from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import Calibration
from bench.evaluation.evaluator import Evaluator
from bench.evaluation.sampling import PLAIN, Sampling
from bench.evaluation.score import EvaluationData, ScoredText
from bench.evaluation.subword_generation import generate
from bench.evaluation.subword_nats import once_per_model, score_words, word_nats
from bench.evaluation.subword_search import search
from bench.evaluation.subword_trie import build_trie
from bench.evaluation.validation import measured_part, segment_positions


class SubwordEvaluator(Evaluator):
    """Evaluator of a `SubwordModel`: an open vocabulary needs no `<unk>`, no speller and no calibration."""

    def score(self, data: EvaluationData) -> ScoredText:
        return ScoredText(**score_words(self.model, data.test, data.vocabulary, search_words=data.search_words))

    def validation_nats(self, data: EvaluationData) -> float:
        """Return nats per word on the positions of the validation sample that other models are measured on."""
        nats = once_per_model(word_nats, self.model, data.validation)
        return float(nats[data.calibration_positions[1::2]].mean())

    def validate(self, data: EvaluationData) -> dict[str, float]:
        """Measure nats per word on the words that word models are measured on; each segment is a document."""
        segments = segment_positions(len(data.validation))
        nats = word_nats(self.model, concatenate(list(data.validation.words[segments]))).reshape(segments.shape)
        return {"validation_nats": float(measured_part(nats).flatten()[1::2].mean())}

    def generate(
        self,
        vocabulary: Vocabulary,
        prompt: list[int],
        count: int,
        *,
        greedy: bool,
        calibration: Calibration | None,
        seed: int,
        sampling: Sampling = PLAIN,
    ) -> list[str]:
        """Generate piece by piece; words outside the vocabulary can occur."""
        return generate(self.model, prompt, count, greedy=greedy, seed=seed, distribution=sampling)

    def decoder(self, data: EvaluationData, most_queries: int) -> Callable[[int], np.ndarray]:
        """Return the trie search for the ranks, within the 10 best, of test words that are in the vocabulary.

        The transformer reads each history from its beginning, whereas a head's latency leaves the backbone out. A
        search ends once the rank of the true word is certain. The first query is in the middle of the text: at its
        beginning the history would be empty.
        """
        known = np.flatnonzero(data.vocabulary.encode(data.test.words) != data.vocabulary.unk)
        spaced = known[np.linspace(0, len(known) - 1, most_queries).astype(int)]
        positions = np.roll(spaced, -(most_queries // 2))
        trie = build_trie(self.model, data.vocabulary)
        search(self.model, data.test, positions[:1], trie)
        return lambda queries: search(self.model, data.test, positions[:queries], trie)
