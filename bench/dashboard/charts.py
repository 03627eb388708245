"""Charts of one experiment over W&B's own presets: small frames of means over seeds, from records alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report import run_table
from bench.report.diagnosis_plots import CAUSES, OWN, mean_parts
from bench.report.generation_texts import HEADINGS, REAL, of_one_judge
from bench.report.glossary import COST
from bench.report.origins import with_times_of_one_origin
from bench.report.page_charts import TRAINING_COSTS
from bench.report.plots import CURVE_UNITS
from bench.report.run_table import CELL
from bench.report.run_variants import GROUP

WAYS = ("greedy", "sampled")  # of decoding

TABLE = (*GROUP, "vocabulary_size")  # fields that tell apart the lines of one system


@dataclass(frozen=True)
class Chart:
    """Frame without gaps, and the preset that draws it."""

    frame: pd.DataFrame
    preset: str
    fields: dict[str, str]  # field of the preset -> column of the frame
    strings: dict[str, str]  # titles


def lines(frame: pd.DataFrame, x: str, y: str, title: str, x_title: str) -> Chart:
    """Return a line per value of the column `line`."""
    rows = frame.reindex(columns=["line", x, y]).dropna().sort_values(["line", x], ignore_index=True)
    fields = {"step": x, "lineKey": "line", "lineVal": y}
    return Chart(rows, "wandb/lineseries/v0", fields, {"title": title, "xname": x_title})


def bars(frame: pd.DataFrame, y: str, title: str) -> Chart:
    """Return a bar per row, under the name in the column `line`."""
    rows = frame.reindex(columns=["line", y]).dropna().reset_index(drop=True)
    return Chart(rows, "wandb/bar/v0", {"label": "line", "value": y}, {"title": title})


def charts(runs: pd.DataFrame) -> dict[str, Chart]:
    """Return by name every chart for which the runs of one experiment have data."""
    runs, _ = with_times_of_one_origin(runs)  # times of other machines or commits cannot be compared
    cells = run_table.cells(runs)
    every = {
        **against_cost(cells),
        **costs(cells),
        **learning_curves(runs),
        **accuracy_by_frequency(cells),
        **diagnosis(runs),
        **generation_quality(runs),
    }
    return {name: chart for name, chart in every.items() if len(chart.frame)}


def against_cost(cells: pd.DataFrame) -> dict[str, Chart]:
    """Return quality against the cost of training, a line per system from the smallest V to the largest.

    At a single V, a line would have a single point, which the preset does not draw: nothing is returned.
    """
    if cells.vocabulary_size.nunique() < 2:
        return {}
    trained = named(cells[cells.competes], GROUP)
    return {
        f"bits_per_byte_against_{cost}": lines(
            trained, cost, "bits_per_byte", f"Bits per byte against {title}, without the encoder's", title
        )
        for cost, title in TRAINING_COSTS.items()
    }


def costs(cells: pd.DataFrame) -> dict[str, Chart]:
    """Return each cost that depends on V: lines against V, or bars at a single V."""
    trained, found = named(cells[cells.competes], GROUP), {}
    for column in (column for column in COST if column.grows):
        frame = trained.assign(**{column.name: trained[column.name] * column.scale})
        title = f"{column.heading} ({column.unit})"
        if cells.vocabulary_size.nunique() > 1:
            chart = lines(frame, "vocabulary_size", column.name, f"{title} against V", "vocabulary size V")
        else:
            chart = bars(frame, column.name, title)
        found[column.name] = chart
    return found


def learning_curves(runs: pd.DataFrame) -> dict[str, Chart]:
    """Return validation nats during training against words, seconds and FLOPs."""
    means = [run_table.curve(cell).assign(**dict(zip(CELL, key, strict=True))) for key, cell in runs.groupby(CELL)]
    frame = named(pd.concat([mean for mean in means if len(mean)] or [runs.head(0)]), TABLE)
    y, title = "validation_nats", "Validation nats against"
    return {f"{y}_against_{unit}": lines(frame, unit, y, f"{title} {name}", name) for unit, name in CURVE_UNITS.items()}


def accuracy_by_frequency(cells: pd.DataFrame) -> dict[str, Chart]:
    """Return accuracy@1 per tenth of the test words, most frequent words first."""
    measured = named(cells[cells.accuracy_by_decile.notna()], TABLE)
    rows = [
        {"line": cell["line"], "tenth": tenth, "accuracy_at_1": 100 * float(share)}
        for cell in measured.to_dict("records")
        for tenth, share in enumerate(cell["accuracy_by_decile"], 1)
    ]
    title, x_title = "Accuracy@1 (%) by word frequency", "tenth of the test words, most frequent first"
    return {"accuracy_by_decile": lines(pd.DataFrame(rows), "tenth", "accuracy_at_1", title, x_title)}


def diagnosis(runs: pd.DataFrame) -> dict[str, Chart]:
    """Return where regressors lose accuracy, in % of the reference's: the bars of one regressor sum to 100 %."""
    measured = runs[runs.diagnosis.notna() & (runs.status == "ok")]
    rows = []
    for _, cell in named(measured, TABLE).groupby(CELL):
        name = cell["line"].iloc[0]
        parts = mean_parts(list(cell.diagnosis))
        whole = parts["reference_accuracy_at_1"]
        if not whole:  # no share of it exists
            continue
        shares = {OWN[0]: parts["accuracy_at_1"]} | {CAUSES[each][0]: parts[each] for each in CAUSES if each in parts}
        rows += [{"line": f"{name}: {cause}", "share": 100 * part / whole} for cause, part in shares.items()]
    return {"diagnosis": bars(pd.DataFrame(rows), "share", "Accuracy@1 lost, % of the reference's accuracy")}


def generation_quality(runs: pd.DataFrame) -> dict[str, Chart]:
    """Return a chart per figure of generated text, with real text beside the systems."""
    frame = generation_frame(runs)
    return {f"generation_{each.field}": bars(frame, each.field, f"Generated text: {each.heading}") for each in HEADINGS}


def generation_frame(runs: pd.DataFrame) -> pd.DataFrame:
    """Return figures of generated text: a row per system and way of decoding, of the lowest seed, and per real text."""
    measured = runs[runs.generation_quality.notna() & (runs.status == "ok")].sort_values("seed")
    _, of_judge = of_one_judge([*measured.generation_quality])
    measured = measured.assign(generation_quality=pd.Series(of_judge, measured.index, dtype=object))
    rows: list[dict[str, Any]] = []
    for _, cell in named(measured, TABLE).groupby(CELL):
        name, figures = cell["line"].iloc[0], cell.generation_quality.iloc[0]
        rows += [figures_row(f"{name}, {way}", figures[way]) for way in WAYS]
    for name, cell in named(measured.assign(label=REAL), TABLE).groupby("line"):
        # the first judge depends on the training text; the second has not judged every record
        real = max((each["real"] for each in cell.generation_quality), key=lambda real: len(figures_row(name, real)))
        rows.append(figures_row(name, real))
    return pd.DataFrame(rows)


def figures_row(name: str, measured: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the figures of one text in the units of their headings."""
    values = {each.field: measured.get(each.field) for each in HEADINGS}
    scaled = {each.field: values[each.field] * each.scale for each in HEADINGS if values[each.field] is not None}
    return {"line": name} | scaled


def named(frame: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """Add the column `line`: a label, and those of the fields that vary."""
    varying = [field for field in fields if frame[field].nunique() > 1]
    return frame.assign(line=[line_name(row, varying) for row in frame.to_dict("records")])


def line_name(row: Mapping[str, Any], varying: Sequence[str]) -> str:
    """Return the name of a line: its label and the fields that vary, as in `mse, V = 1,000`."""
    parts = (f"V = {row[field]:,}" if field == "vocabulary_size" else str(row[field]) for field in varying)
    return ", ".join(part for part in (row["label"], *parts) if part)
