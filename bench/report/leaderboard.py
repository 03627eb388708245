"""Cells -> a table a corpus and vocabulary size, as Markdown, for the terminal and for the page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.record import atomically
from bench.report.table import NULL, shown, span

ARROW = {"lower": "↓", "higher": "↑"}


@dataclass(frozen=True)
class Column:
    """One figure: where it is read, how it is headed, and what it means to somebody who sees it first."""

    field: str
    title: str
    better: str  # lower | higher
    unit: str
    formula: str
    meaning: str
    scale: float = 1.0  # shown = scale × recorded
    digits: int = 3  # shown at most

    @property
    def heading(self) -> str:
        return f"{self.title} {ARROW[self.better]}"


ACCURACY = "share of test words with rank ≤ {}; rank = 1 + #(score > the target's) + ½ #(other ties)"
CALIBRATED = "the same under softmax(a·score + b·log unigram), a and b fitted on validation"
OPEN = "A word outside the vocabulary is a miss and <unk> is never an answer, so it compares across V."
DECODE = "wall clock of the top 10 for {}: the head alone, trunk left out; of GPT-2 all, a search word by word"
QUALITY = (
    Column("bits_per_byte", "bits per byte", "lower", "bits", "Σ open nats / (ln 2 · UTF-8 bytes)",
           "The headline: what a byte of the test text costs; words out of vocabulary are spelt, and paid.", digits=4),
    Column("word_perplexity", "word ppl", "lower", "words", "exp(Σ open nats / test words)",
           "The same per word; compares across V and with GPT-2."),
    Column("accuracy_at_1", "acc@1 %", "higher", "%", ACCURACY.format(1), f"Raw scores. {OPEN}", 100),
    Column("accuracy_at_10", "acc@10 %", "higher", "%", ACCURACY.format(10), f"Raw scores. {OPEN}", 100),
    Column("calibrated_accuracy_at_1", "cal. acc@1 %", "higher", "%", CALIBRATED,
           "A regressor's prior repairs its hubs, so the two differ; for a softmax they hardly do.", 100),
    Column("calibrated_accuracy_at_10", "cal. acc@10 %", "higher", "%", CALIBRATED,
           "As cal. acc@1, for the ten best.", 100),
    Column("mrr_at_10", "mrr@10", "higher", "0 to 1", "mean of 1 / rank, 0 beyond rank 10",
           f"Raw scores. {OPEN}"),
    Column("closed_perplexity", "closed ppl", "lower", "words", "exp(mean nats), in-vocabulary targets only",
           "Calibrated. Read it with V and coverage: it does not compare across V."),
    Column("raw_closed_perplexity", "raw closed ppl", "lower", "words", "the same from softmax(score)",
           "Not calibrated. `proxy` where the scores are no log-probabilities: a number, but no perplexity."),
)  # fmt: skip
COST = (
    Column("train_seconds", "train s", "lower", "s", "wall clock of the training steps, validation left out",
           "What the quality in this row was bought for."),
    Column("encode_seconds", "encode s", "lower", "s", "the training text through the encoder, once and then cached",
           "What a regressor needs before its first step; it comes on top of the training time."),
    Column("train_ms_per_1k", "train ms/1k", "lower", "ms per 1,000 words", "a step of the whole model",
           "Forward, backward and optimiser."),
    Column("head_train_ms_per_1k", "head ms/1k", "lower", "ms per 1,000 words", "a step of the head alone",
           "The part that grows with V."),
    Column("decode_ms_1", "decode ms, 1", "lower", "ms", DECODE.format("one query"),
           "Latency of generating text."),
    Column("decode_ms_256", "decode ms, 256", "lower", "ms", DECODE.format("256 queries"),
           "Throughput of many requests."),
    Column("peak_mib", "peak MiB", "lower", "MiB", "weights, gradients, optimiser state, activations",
           "Of a training step: decides which V fits the machine."),
    Column("parameters", "params M", "lower", "millions", "trained parameters",
           "Of the whole model.", 1e-6),
    Column("flops_per_position", "MFLOP/word", "lower", "10⁶ FLOPs", "a training step, a position",
           "Of the whole model; a multiply-add is 2. The one cost that no machine changes.", 1e-6),
)  # fmt: skip
COLUMNS = (*QUALITY, *COST)


@dataclass(frozen=True)
class Row:
    """A cell as the reader sees it: a text a column, and which of them lead the trained systems."""

    label: str
    is_floor: bool
    texts: list[str]
    leads: list[bool]
    seeds: int
    failures: list[str]


def rows(cells: pd.DataFrame) -> list[Row]:
    """The cells of one table -> its rows, in their order; what reads the same as the best one leads too."""
    texts = {column.field: [text(cell, column) for _, cell in cells.iterrows()] for column in COLUMNS}
    best = {column.field: leader(cells, column, texts[column.field]) for column in COLUMNS}
    return [
        Row(
            label=cell.label if cell.seeds else f"× {cell.label}",
            is_floor=cell.is_floor,
            texts=[texts[column.field][i] for column in COLUMNS],
            leads=[not cell.is_floor and texts[column.field][i] == best[column.field] for column in COLUMNS],
            seeds=cell.seeds,
            failures=[f"× {failure}" for failure in cell.failures],
        )
        for i, (_, cell) in enumerate(cells.iterrows())
    ]


def text(cell: pd.Series, column: Column) -> str:
    """One figure; a raw perplexity of scores that are no log-probabilities says so."""
    number = shown(cell[column.field] * column.scale, cell[f"{column.field}_se"] * column.scale, column.digits)
    is_proxy = column.field == "raw_closed_perplexity" and cell.is_proxy and number != NULL
    return f"{number} proxy" if is_proxy else number


def leader(cells: pd.DataFrame, column: Column, texts: list[str]) -> str | None:
    """The best text of a column; floors and proxies do not compete."""
    means = cells[column.field].reset_index(drop=True)
    means = means[[not each.endswith("proxy") for each in texts] & ~cells.is_floor.to_numpy()].dropna()
    if means.empty:
        return None
    return texts[means.idxmin() if column.better == "lower" else means.idxmax()]


def caption(runs: pd.DataFrame, cells: pd.DataFrame) -> str:
    """What one table's numbers were measured on, and what its ± means."""
    good = runs[runs.status == "ok"]
    trained = good.trained_words[~good.is_floor]
    parts = [f"V = {runs.vocabulary_size.iloc[0]:,}"]
    if good.coverage.notna().any():
        parts.append(f"coverage {span(good.coverage * 100)} %")
    if good.test_words.notna().any():
        parts.append(f"{span(good.test_words)} test words")
    for label, fewer in good[good.ranked_words < good.test_words].groupby("system"):
        parts.append(f"{label} ranked on {span(fewer.ranked_words)} of them")
    if trained.notna().any():
        parts.append(f"trained on {span(trained)} words")
    parts += [f"on {device}" for device in sorted(set(good.device.dropna()))]
    several = cells.seeds.max() > 1
    return " · ".join([*parts, "± is the standard error over seeds" if several else "one seed: no standard error"])


def tables(runs: pd.DataFrame, cells: pd.DataFrame) -> Iterator[tuple[str, int, str, list[Row]]]:
    """(corpus, V, caption, rows) of every table."""
    for (corpus, size), group in cells.groupby(["corpus", "vocabulary_size"]):
        here = runs[(runs.corpus == corpus) & (runs.vocabulary_size == size)]
        yield corpus, size, caption(here, group), rows(group)


def write(runs: pd.DataFrame, cells: pd.DataFrame, path: Path) -> None:
    """Put the Markdown leaderboard in place."""
    lines = ["# Leaderboard", ""]
    lines += ["Bold leads among the trained systems; *italic* rows are floors; × did not finish.", ""]
    for corpus, size, words, body in tables(runs, cells):
        lines += [f"## {plain(corpus)}, V = {size:,}", "", plain(words), ""]
        lines += [joined(["system", *(column.heading for column in COLUMNS), "seeds"])]
        lines += [joined([":--", *["--:"] * len(COLUMNS), ":--"])]
        for row in body:
            name = f"*{plain(row.label)}* (floor)" if row.is_floor else plain(row.label)
            figures = [f"**{each}**" if leads else each for each, leads in zip(row.texts, row.leads, strict=True)]
            lines += [joined([name, *figures, " ".join([str(row.seeds), *map(plain, row.failures)])])]
        lines += [""]
    lines += ["## What each number means", ""]
    lines += [f"- **{column.title}** ({column.unit}; {column.better} is better): {plain(column.formula)}. "
              f"{plain(column.meaning)}" for column in COLUMNS]  # fmt: skip
    atomically(path, lambda file: file.write(("\n".join(lines) + "\n").encode()))


def joined(parts: list[str]) -> str:
    return "| " + " | ".join(parts) + " |"


def plain(words: str) -> str:
    """Text that Markdown shows as it stands: no tag, no column break, no emphasis."""
    return re.sub(r"([|*`\\\[\]])", r"\\\1", escape(" ".join(words.split()), quote=False))


def show(runs: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Print the means, quality and then cost; standard errors do not fit a terminal."""
    console = Console()
    for corpus, _, words, body in tables(runs, cells):
        console.print(Text(f"\n{corpus} · {words}", "bold"))
        for columns, part in ((QUALITY, slice(0, len(QUALITY))), (COST, slice(len(QUALITY), None))):
            table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
            table.add_column("system", no_wrap=True)
            for column in columns:
                table.add_column(column.heading, justify="right")
            for row in body:
                means = [re.sub(r" ± [\d.,]+", "", each) for each in row.texts[part]]
                styles = ["bold" if leads else "dim" if row.is_floor else "" for leads in row.leads[part]]
                name = Text(f"{row.label} (floor)" if row.is_floor else row.label)
                table.add_row(name, *map(Text, means, styles))
            console.print(table)
        for row in body:
            for failure in row.failures:
                console.print(Text(f"{row.label.removeprefix('× ')} {failure}", "red"))
