"""Cost sweep of the heads: one job measures all contenders at one V in one process, and writes a HeadLedger.

bench/cost/earlier_rows.py says which contenders need not be timed again.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig, OmegaConf

from bench.core.errors import SettingError
from bench.core.job import Job
from bench.core.paths import plain_config
from bench.core.progress import Bar
from bench.core.settings import Count, Group, Rows, Seconds, Settings, SizedVocabulary, Width
from bench.cost.ann_indexes import approximate
from bench.cost.baseline_losses import BASELINE_LOSSES
from bench.cost.baseline_search import BASELINE_SEARCHES
from bench.cost.contender import Contender, Missing, SearchableRows, selected_names
from bench.cost.earlier_rows import (
    comparable_ledgers,
    has_other_code,
    head_identities,
    header,
    meaning,
    reusable_rows,
    smaller_rows,
)
from bench.cost.head_rounds import measure
from bench.cost.ledger import ledger_stem, measured_elsewhere
from bench.cost.measurement import Limits, Measurement
from bench.cost.our_heads import head_alone, identifying_systems, systems, whole_model
from bench.cost.schema import HeadLedger, HeadRow
from bench.cost.synthetic_inputs import SyntheticInputs, make_inputs
from bench.cost.timing import span
from bench.evaluation.exact_decoder import QUERIES

OFFSET_TOLERANCE = 1e-5  # of scores: offsets of words that differ less differ by rounding


class HeadCost(Group):
    part: Literal["head", "model"]
    contenders: list[str] | None
    positions: Rows
    hidden_size: Width
    target_size: Width
    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]
    rounds: Count
    operation_seconds: Seconds
    repeat_seconds: Seconds
    longest_seconds: Seconds
    index_seconds: Seconds


class HeadSweepSettings(Settings):
    vocabulary: SizedVocabulary
    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]
    cost: HeadCost


class HeadSweep(Job[HeadLedger]):
    """Measure heads and baselines at one V."""

    settings = HeadSweepSettings
    result = HeadLedger

    def record_stem(self, config: dict[str, Any]) -> Path:
        heads = [OmegaConf.to_container(cfg.system.head, resolve=True) for cfg in identifying_systems()]
        return ledger_stem(
            config, f"{HeadLedger.prefix}{config['vocabulary']['size']}", meaning(config) | {"heads": heads}
        )

    def run(self, cfg: DictConfig) -> HeadLedger:
        config = plain_config(cfg)
        stem, contenders = self.record_stem(config), selected_contenders(cfg)
        cost = HeadCost.model_validate(config["cost"])
        inputs = make_inputs(
            size=cfg.vocabulary.size,
            seed=cfg.seed,
            **{key: getattr(cost, key) for key in ("positions", "hidden_size", "target_size", "device", "precision")},
        )
        limits = Limits(**{field.name: getattr(cost, field.name) for field in dataclasses.fields(Limits)})
        ledgers = comparable_ledgers(config, stem.parent)
        rows = {} if cfg.force else reusable_rows(config, ledgers)
        due = [contender for contender in contenders if contender.name not in rows]
        with Bar(stem.name) as bar:
            results, peaks = measure(due, inputs, limits, bar.show, smaller_rows(config, ledgers))
            search(results, inputs, cost.index_seconds, bar)
        rows |= {each.contender.name: head_row(each, config, peak_gflops=span(peaks)[1]) for each in results}
        ledger = HeadLedger(
            **header(config), peak_gflops=span(peaks), rows=[rows[contender.name] for contender in contenders]
        )
        ledger.write(stem)
        return ledger

    def failure(self, config: dict[str, Any], error: SettingError) -> HeadLedger:
        size, part = config["vocabulary"]["size"], config["cost"]["part"]
        row = HeadRow(contender="all", part=part, vocabulary_size=size, status="failed", reason=str(error))
        return HeadLedger(**header(config), peak_gflops=[], rows=[row])

    def outdated(self, config: dict[str, Any], path: Path) -> str:
        ledger = HeadLedger.read(path)
        return "made by other code" if has_other_code(ledger) else measured_elsewhere(ledger, config["cost"]["device"])

    def headline(self, result: HeadLedger) -> str:
        earlier = sum(row.measured_at is not None for row in result.rows)
        return f"{result.measured} contenders measured" + (f", {earlier} of them earlier" if earlier else "")


def selected_contenders(cfg: DictConfig) -> list[Contender]:
    """Return the systems, and for heads alone their baselines; or those of them that `cost.contenders` names.

    Raises:
        SettingError: a name that no contender has, or a trunk of another width than `cost.hidden_size`.
    """
    if cfg.cost.part == "model":
        width = cfg.backbone.get("trunk", {}).get("hidden_size", cfg.cost.hidden_size)
        if width != cfg.cost.hidden_size:
            raise SettingError("backbone.trunk.hidden_size", f"it is {width}; give cost.hidden_size={width} instead")
        contenders = [whole_model(each, cfg.backbone, streams=cfg.batch.streams) for each in systems()]
    else:
        contenders = [*map(head_alone, systems()), *BASELINE_LOSSES, *BASELINE_SEARCHES]
    names = selected_names([contender.name for contender in contenders], cfg.cost.contenders)
    return [contender for contender in contenders if contender.name in names]


def search(results: Sequence[Measurement], inputs: SyntheticInputs, seconds: float, bar: Bar) -> None:
    """Measure approximate decoding wherever scores are inner products; contenders with equal rows share the figures."""
    hidden, _ = inputs.queries(max(QUERIES))
    known: list[tuple[torch.Tensor, torch.Tensor | None, list[dict[str, Any]]]] = []  # rows, offsets, figures
    for result in (result for result in results if result.searchable):
        with result.attempt("approximate"), torch.no_grad():
            bar.show(1.0, f"indexes: {result.contender.name}")
            make_queries, rows, offsets = result.contender.build(inputs).searchable
            if offsets is not None and float(offsets.max() - offsets.min()) < OFFSET_TOLERANCE:
                offsets = None  # equal for all words, so the order of words does not depend on it
            same = [figures for *other, figures in known if all(map(equal, other, (rows, offsets)))]
            result.figures["approximate"] = same[0] if same else indexes((make_queries, rows, offsets), hidden, seconds)
            if not same:
                known.append((rows, offsets, result.figures["approximate"]))


def equal(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    """True if both tensors are equal to the bit, or both are None."""
    return one is other or (one is not None and other is not None and torch.equal(one, other))


def indexes(searchable: SearchableRows, hidden: torch.Tensor, seconds: float) -> list[dict[str, Any]]:
    """Return a row per approximate index, or one row that says why there is none."""
    try:
        return approximate(searchable, hidden, seconds)
    except Missing as missing:
        return [{"index": "faiss", "reason": str(missing)}]


def head_row(result: Measurement, config: dict[str, Any], *, peak_gflops: float) -> HeadRow:
    """Return the ledger row of one contender."""
    figures = {key: value for key, value in result.figures.items() if key != "sgd_mib"}
    spans = {f"{operation}_ms": span(times) for operation, times in result.times_ms.items()}
    if "step_ms" in spans and figures["flops_per_position"] is not None:
        achieved = figures["flops_per_position"] * config["cost"]["positions"] / spans["step_ms"][1] / 1e6  # GFLOP/s
        figures["peak_share"] = float(f"{achieved / peak_gflops:.4g}")
    return HeadRow(
        contender=result.contender.name,
        part=config["cost"]["part"],
        vocabulary_size=config["vocabulary"]["size"],
        reads_targets=result.contender.reads_targets,
        identity=head_identities().get(result.contender.name),
        status=result.status,
        reason=result.reason,
        **spans,
        **figures,
    )
