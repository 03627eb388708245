"""Section of generated text beside real text: a table of figures, and continuations of the same prompts."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from bench.report.number_format import NULL, bracketed, mean_and_error

REAL = "real text"


class Heading(NamedTuple):
    """Column of the table."""

    field: str
    heading: str
    meaning: str
    scale: float = 1.0


HEADINGS = (
    Heading("judge_perplexity", "judge's perplexity", "Perplexity under a 5-gram counted on the training text."),
    Heading("causal_judge_perplexity", "LM's perplexity", "Perplexity per word under a pre-trained causal LM."),
    Heading("distinct_1", "distinct-1 (%)", "Distinct words over all words of all texts.", 100),
    Heading("distinct_2", "distinct-2 (%)", "Distinct 2-grams over all 2-grams of all texts.", 100),
    Heading("distinct_4", "distinct-4 (%)", "Distinct 4-grams over all 4-grams of all texts.", 100),
    Heading("repeated_4", "repeated 4-grams (%)", "Share of a text's 4-grams that the same text held before.", 100),
    Heading("copied_8", "copied 8-grams (%)", "Share of 8-grams that the training text holds.", 100),
    Heading("frechet", "Fréchet distance", "Between sentence vectors of these texts and of the real continuations."),
)


def generation_section(runs: pd.DataFrame, cells: pd.DataFrame) -> dict[str, Any] | None:
    """Return the template's values: the lowest seed of every system at one V; None if nothing was measured.

    V is the size at which most systems were measured; the largest of several.
    """
    measured = runs[runs.generation_quality.notna() & (runs.status == "ok")].sort_values("seed")
    if measured.empty:
        return None
    systems = measured.groupby("vocabulary_size").label.nunique()
    size = systems[systems == systems.max()].index.max()
    first = measured[measured.vocabulary_size == size].groupby("label").first().generation_quality
    labels = [label for label in cells[cells.vocabulary_size == size].label if label in first.index]
    some = first[labels[0]]
    rows = [(REAL, "", figures(some["real"]))]
    rows += [(label, way, figures(first[label][way])) for label in labels for way in ("greedy", "sampled")]
    shown = {label: {text["prompt"]: text for text in first[label]["texts"]} for label in labels}
    return {
        "size": int(size),
        **{name: some[name] for name in ("prompts", "prompt_words", "words")},
        "headings": HEADINGS,
        "rows": rows,
        "labels": labels,
        "texts": [
            (text["prompt"], text["real"], [shown[label].get(text["prompt"]) for label in labels])
            for text in some["texts"]
        ],
    }


def figures(measured: Mapping[str, float | None]) -> list[str]:
    """Format the figures of one system and way; a distance has its interval."""
    texts = [
        NULL if (value := measured.get(each.field)) is None else mean_and_error(value * each.scale) for each in HEADINGS
    ]
    texts[-1] += f" {bracketed(measured['frechet_low'], measured['frechet_high'])}"
    return texts
