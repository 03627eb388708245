"""Quality of generated text beside real text: the field `generation_quality` of a record."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from bench.core.progress import print_line
from bench.data.text import Text
from bench.evaluation.calibration import Calibration
from bench.evaluation.causal_judge import CausalJudge
from bench.evaluation.evaluator import Evaluator
from bench.evaluation.generation_frechet import frechet_distance, frechet_interval, sentence_vectors
from bench.evaluation.generation_judge import Judge
from bench.evaluation.generation_metrics import copied, distinct, repeated
from bench.evaluation.score import EvaluationData
from bench.targets.encoder import Encoder

PROMPTS, PROMPT_WORDS, WORDS = 64, 16, 64  # number of prompts; words of a prompt and of its continuation

LEAST_PROMPTS = 8  # with fewer, nothing is measured

Texts = list[list[str]]

MOST_UNKNOWN = 0.1  # share of real words without word pieces, above which no Fréchet distance is computed

SHOWN = 4  # texts that a record keeps, evenly chosen among the prompts


def generation_quality(
    evaluator: Evaluator,
    data: EvaluationData,
    calibration: Calibration | None,
    encoder: Encoder,
    seed: int,
    causal_judge: CausalJudge | None = None,
) -> dict[str, object] | None:
    """Return figures of greedy and of sampled continuations of test prompts; docs/metrics.md defines every figure.

    None if the test text has fewer than `LEAST_PROMPTS` segments of a prompt and a continuation.

    Args:
        calibration: calibration of the distribution to draw from; None for a model that needs none.
        encoder: encoder of whole texts, for the Fréchet distance.
        seed: prompt i has the seed `seed` + i.
        causal_judge: second judge of the texts; None leaves its perplexity out.
    """
    begin = time.perf_counter()
    vocabulary, corpus = data.vocabulary, data.vocabulary.corpus
    chosen, others = segments(data.test)
    if len(chosen) < LEAST_PROMPTS:
        return None
    prompts = [words[:PROMPT_WORDS].tolist() for words in chosen]
    texts = {"real": [corpus.words_of(words[PROMPT_WORDS:]) for words in chosen]}
    for way in ("greedy", "sampled"):
        options = {"greedy": way == "greedy", "calibration": calibration, "seed": seed}
        texts[way] = evaluator.generate_batch(vocabulary, prompts, WORDS, **options)
    compared = texts | {"real": [corpus.words_of(words[PROMPT_WORDS:]) for words in others]}
    spelt = [corpus.words_of(prompt) for prompt in prompts]
    figures, apart = text_metrics(data, spelt, causal_judge), distances(encoder, compared, texts["real"])
    shown = np.unique(np.linspace(0, len(prompts) - 1, SHOWN).astype(int))
    return {
        "prompts": len(prompts),
        "prompt_words": PROMPT_WORDS,
        "words": WORDS,
        "causal_judge": causal_judge and causal_judge.name,
        **{way: figures(texts[way]) | apart[way] for way in texts},
        "texts": [
            {"prompt": " ".join(spelt[i])} | {way: " ".join(texts[way][i]) for way in ("real", "greedy", "sampled")}
            for i in shown
        ],
        "generation_seconds": time.perf_counter() - begin,
    }


def segments(text: Text) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Cut documents into segments of a prompt and a continuation; return those to continue, and as many others.

    The segments do not overlap, and no prompt occurs twice. The others measure how far real text is from real text.
    """
    length, seen, cut = PROMPT_WORDS + WORDS, set(), []
    for words in text.documents():
        for start in range(0, len(words) - length + 1, length):
            segment = words[start : start + length]
            prompt = tuple(segment[:PROMPT_WORDS].tolist())
            if prompt not in seen:
                seen.add(prompt)
                cut.append(segment)
    count = min(2 * PROMPTS, len(cut) // 2 * 2)
    chosen = [cut[i] for i in np.linspace(0, len(cut) - 1, count).astype(int)] if count else []
    return chosen[::2], chosen[1::2]


def text_metrics(
    data: EvaluationData, prompts: list[list[str]], causal_judge: CausalJudge | None
) -> Callable[[list[list[str]]], dict[str, float | None]]:
    """Return a function that measures one continuation of each prompt."""
    corpus = data.vocabulary.corpus
    index = {word: i for i, word in enumerate(corpus.lexicon)}
    judge = Judge(corpus, index)

    def measure(texts: Texts) -> dict[str, float | None]:
        indices = [np.array([index.get(word, -1) for word in text], np.int64) for text in texts]
        return {
            "judge_perplexity": judge.perplexity(prompts, texts),
            "causal_judge_perplexity": causal_judge and causal_judge.perplexity(prompts, texts),
            **{f"distinct_{n}": distinct(texts, n) for n in (1, 2, 4)},
            "repeated_4": repeated(texts, 4),
            "copied_8": copied(indices, corpus.train),
        }

    return measure


def distances(encoder: Encoder, texts: Mapping[str, Texts], real: Texts) -> dict[str, dict[str, float | None]]:
    """Return the Fréchet distance of each set of texts to the real continuations, and its interval.

    None if the encoder's tokenizer has no pieces for more than `MOST_UNKNOWN` of the real words.
    """
    unknown = encoder.unknown_share([word for text in real for word in text])
    if unknown > MOST_UNKNOWN:
        print_line(f"no Fréchet distance: {encoder.folder} has no word pieces for {unknown:.0%} of the real words")
        return {way: {"frechet": None, "frechet_low": None, "frechet_high": None} for way in texts}
    target, found = sentence_vectors(encoder, real), {}
    for way, each in texts.items():
        vectors = sentence_vectors(encoder, each)
        low, high = frechet_interval(vectors, target)
        found[way] = {"frechet": frechet_distance(vectors, target), "frechet_low": low, "frechet_high": high}
    return found
