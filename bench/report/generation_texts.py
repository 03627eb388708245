"""Generated text on the page: continuations of each run's prompts; figures and continuations beside real text."""

from collections.abc import Mapping, Sequence
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


def of_lowest_seeds(runs: pd.DataFrame, cells: pd.DataFrame, field: str) -> tuple[int, dict[str, Any]] | None:
    """Return a V, and a field of the lowest seed of every system at this V, by label; None if no run has the field.

    V is the size at which most systems have the field; the largest of several. Labels have the order of the cells.
    """
    having = runs[runs[field].notna() & runs[field].astype(bool) & (runs.status == "ok")].sort_values("seed")
    if having.empty:
        return None
    systems = having.groupby("vocabulary_size").label.nunique()
    size = systems[systems == systems.max()].index.max()
    first = having[having.vocabulary_size == size].groupby("label").first()[field]
    return int(size), {label: first[label] for label in cells[cells.vocabulary_size == size].label if label in first}


def generated_texts(runs: pd.DataFrame, cells: pd.DataFrame) -> dict[str, Any] | None:
    """Return the texts that runs wrote at their end, as a table of prompts by systems; None without any."""
    if (found := of_lowest_seeds(runs, cells, "generations")) is None:
        return None
    size, generations = found
    texts = {label: {text["prompt"]: text for text in written} for label, written in generations.items()}
    prompts = dict.fromkeys(prompt for by_prompt in texts.values() for prompt in by_prompt)
    return {
        "size": size,
        "labels": list(texts),
        "rows": [(prompt, [by_prompt.get(prompt) for by_prompt in texts.values()]) for prompt in prompts],
    }


def generation_section(runs: pd.DataFrame, cells: pd.DataFrame) -> dict[str, Any] | None:
    """Return the template's values about text beside real text; None if nothing was measured."""
    if (found := of_lowest_seeds(runs, cells, "generation_quality")) is None:
        return None
    size, first = found
    labels = list(first)
    some = first[labels[0]]
    judge, measured = of_one_judge([*first.values()])
    judged = next((each for each in measured if each.get("causal_judge") == judge), measured[0])
    rows = [(REAL, "", figures(judged["real"]))]
    for label, each in zip(labels, measured, strict=True):
        rows += [(label, way, figures(each[way])) for way in ("greedy", "sampled")]
    shown = {label: {text["prompt"]: text for text in first[label]["texts"]} for label in labels}
    return {
        "size": size,
        **{name: some[name] for name in ("prompts", "prompt_words", "words")},
        "headings": HEADINGS,
        "judge": judge,
        "rows": rows,
        "labels": labels,
        "texts": [
            (text["prompt"], text["real"], [shown[label].get(text["prompt"]) for label in labels])
            for text in some["texts"]
        ],
    }


def of_one_judge(measured: Sequence[dict[str, Any]]) -> tuple[str | None, list[dict[str, Any]]]:
    """Return the first causal judge, and all figures without the perplexities of other judges: they do not compare."""
    judge = next((each["causal_judge"] for each in measured if each.get("causal_judge")), None)
    return judge, [
        each
        if each.get("causal_judge") == judge
        else each | {text: each[text] | {"causal_judge_perplexity": None} for text in ("greedy", "sampled", "real")}
        for each in measured
    ]


def figures(measured: Mapping[str, float | None]) -> list[str]:
    """Format the figures of one system and decoding method; the Fréchet distance has its interval."""
    texts = [
        NULL if (value := measured.get(each.field)) is None else mean_and_error(value * each.scale) for each in HEADINGS
    ]
    if texts[-1] != NULL:
        texts[-1] += f" {bracketed(measured['frechet_low'], measured['frechet_high'])}"
    return texts
