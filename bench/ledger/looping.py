"""One configuration -> one LoopLedger: a bare loop, Lightning's Trainer, and training as it is. `cost_loop` runs it."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch.utils._pytree import tree_map

from bench.build import Built, build
from bench.cell import one_line, status_of, to, unwrapped
from bench.devices import Ranks
from bench.errors import SettingError
from bench.evaluation.look import look
from bench.ledger.clock import span
from bench.ledger.files import stem
from bench.ledger.header import header
from bench.ledger.loops import Loop, LoopLedger
from bench.ledger.systems import systems
from bench.ledger.watch import SETTLING, Interruptions, OnceDue, Watched, WatchedData
from bench.loggers import mirroring
from bench.places import plain, resolved
from bench.progress import Bar
from bench.rows import clip
from bench.trained import make_budget, make_trainer
from bench.training import LOOKS, set_rate

__all__ = ["failed", "headline", "place", "read", "run", "stands"]

read, stands = LoopLedger.read, LoopLedger.stands
PATIENCE = ("rounds",)  # no figure's meaning
HANGS_ON = (
    "seed", "inputs", "vocabulary", "batch", "optimizer", "budget", "checkpoint", "corpus", "targets", "backbone",
    "trainer", "logger", "evaluation",
)  # fmt: skip


def place(config: dict[str, Any]) -> Path:
    """Where a configuration's ledger stands, without the suffix: named by all that its figures hang on."""
    kept = {key: config[key] for key in HANGS_ON}
    kept["cost"] = {key: value for key, value in config["cost"].items() if key not in PATIENCE}
    kept["systems"] = [OmegaConf.to_container(cfg.system, resolve=True) for cfg in systems()]
    return stem(config, LoopLedger.begins, kept)


def run(cfg: DictConfig) -> LoopLedger:
    """Measure, and write the file.

    Raises:
        SettingError: settings that cannot work; nothing was written.
    """
    config = resolved(cfg)
    path, cases = place(config), chosen(cfg)
    starts: list[float] = []  # of the logger, s
    with Bar(path.name) as bar:
        rows = []
        for nth, (name, case) in enumerate(cases.items()):
            found, row = Rounds(), {"contender": name}
            try:
                for done in measure(case, found, bar):
                    bar.note((nth + done) / len(cases), name)
                row |= found.figures(case)
            except Exception as raised:
                error = unwrapped(raised)
                if status_of(error) is None:
                    raise error from None
                row |= {"status": status_of(error), "reason": one_line(error)}
            starts += found.logger_start
            rows.append(Loop(**row))
    ledger = LoopLedger(**facts(config), logger_start_seconds=starts, rows=rows)
    ledger.write(path)
    return ledger


def chosen(cfg: DictConfig) -> dict[str, DictConfig]:
    """This configuration with every system that has a head, or with those that `cost.contenders` names.

    Raises:
        SettingError: a name that nobody has.
    """
    cases = {}
    for each in systems():
        cases[each.system.name] = cfg.copy()
        cases[each.system.name].system = each.system
    names = cfg.cost.contenders or list(cases)
    unknown = sorted(set(names) - set(cases))
    if unknown:
        raise SettingError("cost.contenders", f"there is no {unknown[0]}; choose of {', '.join(cases)}")
    return {name: cases[name] for name in cases if name in names}


@dataclass(eq=False)
class Rounds:
    """What has been found of one system, a figure a round."""

    bare: list[float] = field(default_factory=list)  # ms of 1,000 words
    trainer: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    data: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)  # ms, one call each
    logs: list[float] = field(default_factory=list)
    checkpoints: list[float] = field(default_factory=list)
    logger_start: list[float] = field(default_factory=list)  # s

    def figures(self, cfg: DictConfig) -> dict[str, list[float]]:
        """As the file has them: what is due now and then is spread over the words until it is due again."""
        thousands = self.budget_thousands(cfg)
        step_ms = [each * cfg.batch.streams * cfg.batch.steps / 1e3 for each in self.steps]
        parts = {
            "look": [len(LOOKS) * each / thousands for each in self.looks],
            "log": [len(LOOKS) * each / thousands for each in self.logs or [0.0] * len(self.looks)],
            "checkpoint": [
                one * each / max(1e3 * cfg.checkpoint.seconds, step)
                for one, each, step in zip(self.checkpoints, self.steps, step_ms, strict=True)
            ],
        }
        default = [sum(each) for each in zip(self.steps, *parts.values(), strict=True)]
        shares = {name: over(taken, self.bare) for name, taken in (parts | {"data": self.data}).items()}
        taken = {
            "bare_ms": self.bare,
            "trainer_ms": self.trainer,
            "default_ms": default,
            "steps_ms": self.steps,
            "data_ms": self.data,
            "trainer_ratio": over(self.trainer, self.bare),
            "default_ratio": over(default, self.bare),
            **{f"{name}_share": share for name, share in shares.items() if name != "log" or self.logs},
            "look_ms": self.looks,
            "log_ms": self.logs,
            "checkpoint_ms": self.checkpoints,
        }
        return {name: span(each) for name, each in taken.items() if each}

    def budget_thousands(self, cfg: DictConfig) -> float:
        """How many 1,000 words the budget lets a system train on."""
        limits = [cfg.budget.words and cfg.budget.words / 1e3]
        limits += [cfg.budget.seconds and 1e3 * cfg.budget.seconds / span(self.steps)[1]]
        return min(limit for limit in limits if limit)


def over(one: list[float], other: list[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(one, other, strict=True)]


def measure(cfg: DictConfig, found: Rounds, bar: Bar) -> Iterator[float]:
    """All rounds of one system, in which the three loops take turns from the same weights; yields the share done."""
    built = build(cfg)
    begun = {name: each.clone() for name, each in built.model.state_dict().items()}
    loops = (bare, trainer_alone, default)
    for turn in range(cfg.cost.rounds):
        for nth, loop in enumerate(loops):
            yield (turn + nth / len(loops)) / cfg.cost.rounds
            built.model.load_state_dict(begun)
            built.model.state = None
            torch.manual_seed(cfg.seed)
            with tempfile.TemporaryDirectory() as folder:
                loop(cfg, built, found, Path(folder), bar)


def steps_of(cfg: DictConfig) -> int:
    """In a round.

    Raises:
        SettingError: so few that none counts.
    """
    steps = -(-cfg.cost.words // (cfg.batch.streams * cfg.batch.steps))
    if steps <= SETTLING + 1:
        raise SettingError("cost.words", f"{cfg.cost.words} words are {steps} steps; more than {SETTLING + 1} count")
    return steps


def bare(cfg: DictConfig, built: Built, found: Rounds, folder: Path, bar: Bar) -> None:
    """What one writes by hand."""
    model, watched, steps = built.model, Watched(built.data.batches), steps_of(cfg)
    trainer = make_trainer(cfg, SameSteps(cfg), Ranks(), None)  # knows device and precision, and is not used
    if trainer.world_size > 1:
        raise SettingError("trainer", "the loops are measured on one device; choose trainer=auto")
    device, batches = trainer.strategy.root_device, iter(watched)
    model.to(device).train()
    optimizer, parameters = model.configure_optimizers(), [*model.parameters()]
    for step in range(steps):
        set_rate(optimizer, model.lr, step / steps)
        batch = tree_map(partial(to, device=device), next(batches))
        optimizer.zero_grad()
        with trainer.precision_plugin.forward_context():
            loss = model.training_step(batch, step)
        loss.backward()
        if cfg.optimizer.gradient_clip is not None:
            clip(parameters, cfg.optimizer.gradient_clip)
        optimizer.step()
    float(loss.detach())  # waits for the device
    next(batches)
    found.bare.append(watched.ms_per_1k(watched.seconds))


class SameSteps(pl.Callback):
    """All that Trainer needs of us to take the same steps, and as many."""

    def __init__(self, cfg: DictConfig):
        self.largest, self.steps = cfg.optimizer.gradient_clip, steps_of(cfg)

    def on_before_optimizer_step(self, trainer: pl.Trainer, model: pl.LightningModule, optimizer: Any) -> None:
        if self.largest is not None:
            clip(model.parameters(), self.largest)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.steps


def trainer_alone(cfg: DictConfig, built: Built, found: Rounds, folder: Path, bar: Bar) -> None:
    """Lightning's loop with next to nothing hung into it."""
    data = WatchedData(built.data.batches)
    make_trainer(cfg, SameSteps(cfg), Ranks(), None).fit(built.model, data)
    found.trainer.append(data.watched.ms_per_1k(data.watched.seconds))


def default(cfg: DictConfig, built: Built, found: Rounds, folder: Path, bar: Bar) -> None:
    """As a cell trains; the budget is `cost.words`, within which every look is due."""
    data, looks, rows, saves = WatchedData(built.data.batches), *(Interruptions() for _ in range(3))
    short = cfg.copy()
    short.budget = {"words": cfg.cost.words, "seconds": None}
    begin = time.perf_counter()
    logger = instantiate(cfg.logger, _partial_=True)(folder=folder, cell="loop", config=plain(cfg))
    started = time.perf_counter() - begin
    with mirroring(logger):
        if logger is not None:
            logger.log_metrics = rows.timing(logger.log_metrics)
        checkpoint = OnceDue(folder / "loop.ckpt", seconds=cfg.checkpoint.seconds)
        checkpoint.save = saves.timing(checkpoint.save)
        judge = looks.timing(partial(look, judged=built.judged))
        budget = make_budget(short, look=judge, flops_per_position=1.0, checkpoint=checkpoint, bar=bar)
        make_trainer(cfg, budget, Ranks(), logger).fit(built.model, data)
        watched, begin = data.watched, time.perf_counter()
    if logger is not None:
        found.logger_start.append(started + time.perf_counter() - begin)
        found.logs.append(1e3 * span(rows.taken)[1])
    apart = sum(each.between(watched.since, watched.asked[-1]) for each in (looks, rows, saves))
    found.steps.append(watched.ms_per_1k(watched.seconds - apart))
    found.data.append(watched.ms_per_1k(watched.waiting))
    found.looks.append(1e3 * span(looks.taken)[1])
    found.checkpoints.append(1e3 * span(saves.taken)[1])


def facts(config: dict[str, Any]) -> dict[str, Any]:
    """What the figures of a ledger hold for."""
    cost, budget, trainer = config["cost"], config["budget"], config["trainer"]
    on_gpu = torch.cuda.is_available() and trainer["accelerator"] in ("auto", "gpu", "cuda")
    limits = [f"{budget[unit]:,} {unit}" for unit in ("words", "seconds") if budget[unit] is not None]
    return {
        "corpus": config["corpus"]["name"],
        "vocabulary_size": config["vocabulary"]["size"],
        "backbone": config["backbone"]["name"],
        "hidden_size": config["backbone"]["trunk"]["hidden_size"],
        "words": cost["words"],
        "budget": " or ".join(limits),
        "looks": len(LOOKS),
        "checkpoint_seconds": config["checkpoint"]["seconds"],
        "logger": config["logger"]["_target_"].rsplit(".", 1)[-1],
        **header(config, device="cuda" if on_gpu else "cpu", precision=trainer["precision"], rounds=cost["rounds"]),
    }


def failed(config: dict[str, Any], error: SettingError) -> LoopLedger:
    """What stands for a sweep's job whose settings cannot work."""
    row = Loop(contender="all", status="failed", reason=str(error))
    ledger = LoopLedger(**facts(config), logger_start_seconds=[], rows=[row])
    ledger.write(place(config))
    return ledger


def headline(ledger: LoopLedger) -> str:
    """How it went, in a few words."""
    measured = sum(each.status == "ok" for each in ledger.rows)
    return f"{measured} of {len(ledger.rows)} systems measured"
