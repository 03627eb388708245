"""One configuration -> one HeadLedger: all contenders at one V, in one process. What `cost_sweep` runs a job."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from bench.core.errors import SettingError
from bench.core.paths import plain_config
from bench.core.progress import Bar
from bench.core.provenance import ledger_header
from bench.cost.ann_indexes import approximate
from bench.cost.baseline_losses import BASELINE_LOSSES
from bench.cost.baseline_search import BASELINE_SEARCHES
from bench.cost.contender import Contender, Missing, SearchableRows
from bench.cost.head_rounds import measure
from bench.cost.ledger import stem
from bench.cost.measurement import Limits, Measurement
from bench.cost.our_heads import head_alone, systems, whole_model
from bench.cost.run_cost import QUERIES
from bench.cost.schema import HeadLedger, Row
from bench.cost.synthetic_inputs import SyntheticInputs, make_inputs
from bench.cost.timing import span

__all__ = ["failed", "finished", "headline", "read_record", "record_stem", "run"]

read_record, finished = HeadLedger.read, HeadLedger.finished

LEVEL = 1e-5  # of scores: what differs less is rounding

PATIENCE = ("rounds", "act_seconds", "visit_seconds", "longest_seconds", "index_seconds")  # no figure's meaning


def record_stem(config: dict[str, Any]) -> Path:
    """Where a configuration's ledger stands, without the suffix: named by all that its figures hang on."""
    kept = meant(config) | {"heads": [OmegaConf.to_container(cfg.system.head, resolve=True) for cfg in systems()]}
    return stem(config, f"{HeadLedger.begins}{config['vocabulary']['size']}", kept)


def meant(config: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration gives its figures their meaning."""
    kept = {key: config[key] for key in ("vocabulary", "seed")}
    kept["cost"] = {key: value for key, value in config["cost"].items() if key not in PATIENCE}
    if config["cost"]["part"] == "model":
        kept |= {"backbone": config["backbone"], "streams": config["batch"]["streams"]}
    return kept


def run(cfg: DictConfig) -> HeadLedger:
    """Measure, and write the file.

    Raises:
        SettingError: settings that cannot work; nothing was written.
    """
    config = plain_config(cfg)
    cost = config["cost"]
    inputs = make_inputs(
        size=cfg.vocabulary.size,
        positions=cost["positions"],
        hidden_size=cost["hidden_size"],
        target_size=cost["target_size"],
        device=cost["device"],
        precision=cost["precision"],
        seed=cfg.seed,
    )
    limits = Limits(**{field.name: cost[field.name] for field in dataclasses.fields(Limits)})
    path = record_stem(config)
    with Bar(path.name) as bar:
        results, peaks = measure(chosen(cfg), inputs, limits, bar.note, smaller(config))
        search(results, inputs, cost["index_seconds"], bar)
    ledger = HeadLedger(
        **facts(config),
        peak_gflops=span(peaks),
        rows=[row(each, config, peak_gflops=span(peaks)[1]) for each in results],
    )
    ledger.write(path)
    return ledger


def smaller(config: dict[str, Any]) -> dict[str, Row]:
    """Each contender's row at the largest smaller V that stands beside this one, and means the same."""

    def kind(of: dict[str, Any]) -> dict[str, Any]:
        return meant(of) | {"vocabulary": None, "cost": meant(of)["cost"] | {"contenders": None}}

    files = record_stem(config).parent.glob(f"{HeadLedger.begins}*.json")
    others = [each for each in map(read_record, files) if kind(each.config) == kind(config)]
    found: dict[str, Row] = {}
    for other in sorted(others, key=lambda each: each.vocabulary_size):
        patient = other.config["cost"]["longest_seconds"] >= config["cost"]["longest_seconds"]
        if other.vocabulary_size < config["vocabulary"]["size"]:
            found |= {row.contender: row for row in other.rows if patient or row.status != "slow"}
    return found


def chosen(cfg: DictConfig) -> list[Contender]:
    """Systems, and for heads alone their peers; or those of them that `cost.contenders` names.

    Raises:
        SettingError: a name that nobody has.
    """
    if cfg.cost.part == "model":
        everyone = [whole_model(each, cfg.backbone, streams=cfg.batch.streams) for each in systems()]
    else:
        everyone = [*map(head_alone, systems()), *BASELINE_LOSSES, *BASELINE_SEARCHES]
    if cfg.cost.contenders is None:
        return everyone
    names = [contender.name for contender in everyone]
    unknown = sorted(set(cfg.cost.contenders) - set(names))
    if unknown:
        raise SettingError("cost.contenders", f"there is no {unknown[0]}; choose of {', '.join(names)}")
    return [contender for contender in everyone if contender.name in cfg.cost.contenders]


def search(results: Sequence[Measurement], inputs: SyntheticInputs, seconds: float, bar: Bar) -> None:
    """Approximate decoding of all whose scores are inner products; those of the same rows share what was found."""
    hidden, _ = inputs.queries(max(QUERIES))
    known: list[tuple[torch.Tensor, torch.Tensor | None, list[dict[str, Any]]]] = []  # rows, offsets, what was found
    for result in (each for each in results if each.searchable):
        with result.attempt("approximate"), torch.no_grad():
            bar.note(1.0, f"indexes: {result.contender.name}")
            make_queries, rows, offsets = result.contender.build(inputs).searchable
            if offsets is not None and float(offsets.max() - offsets.min()) < LEVEL:
                offsets = None  # the same for all, and moves no word
            same = [found for *other, found in known if all(map(equal, other, (rows, offsets)))]
            result.figures["approximate"] = same[0] if same else indexes((make_queries, rows, offsets), hidden, seconds)
            if not same:
                known.append((rows, offsets, result.figures["approximate"]))


def equal(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    """To the bit, or neither is there."""
    return one is other or (one is not None and other is not None and torch.equal(one, other))


def indexes(searchable: SearchableRows, hidden: torch.Tensor, seconds: float) -> list[dict[str, Any]]:
    """Their rows, or one that says why there are none."""
    try:
        return approximate(searchable, hidden, seconds)
    except Missing as missing:
        return [{"index": "faiss", "reason": str(missing)}]


def facts(config: dict[str, Any]) -> dict[str, Any]:
    """What the figures of a ledger hold for."""
    cost = config["cost"]
    return {
        "vocabulary_size": config["vocabulary"]["size"],
        **{key: cost[key] for key in ("positions", "hidden_size", "target_size")},
        **ledger_header(config, device=cost["device"], precision=cost["precision"], rounds=cost["rounds"]),
    }


def row(result: Measurement, config: dict[str, Any], *, peak_gflops: float) -> Row:
    """What has been found of one contender, as the file has it."""
    figures = {key: value for key, value in result.figures.items() if key != "sgd_mib"}
    spans = {f"{operation}_ms": span(times) for operation, times in result.times_ms.items()}
    if "step_ms" in spans and figures["flops_per_position"] is not None:
        achieved = figures["flops_per_position"] * config["cost"]["positions"] / spans["step_ms"][1] / 1e6  # GFLOP/s
        figures["peak_share"] = float(f"{achieved / peak_gflops:.4g}")
    return Row(
        contender=result.contender.name,
        part=config["cost"]["part"],
        vocabulary_size=config["vocabulary"]["size"],
        reads_targets=result.contender.reads_targets,
        status=result.status,
        reason=result.reason,
        **spans,
        **figures,
    )


def failed(config: dict[str, Any], error: SettingError) -> HeadLedger:
    """What stands for a sweep's job whose settings cannot work."""
    size = config["vocabulary"]["size"]
    row = Row(contender="all", part=config["cost"]["part"], vocabulary_size=size, status="failed", reason=str(error))
    ledger = HeadLedger(**facts(config), peak_gflops=[], rows=[row])
    ledger.write(record_stem(config))
    return ledger


def headline(ledger: HeadLedger) -> str:
    """How it went, in a few words."""
    return f"{ledger.measured} contenders measured"
