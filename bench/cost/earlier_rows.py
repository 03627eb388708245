"""Rows of earlier head ledgers that a job can use: to skip a contender, or to know how slow it was at a smaller V.

A ledger's file name hashes the configurations of all heads, so a head that is added or changed makes a new file. Its
job looks for earlier ledgers of the same settings beside the file. Rows of contenders that did not change are taken
over (`measured_at` says when they were timed), and the others alone are timed. Rows are taken over from the same
machine, packages and git commit only: times of one table never mix two of these. An unknown commit matches none.
A head's identity has the hashes of its configuration and of its sources, so an edit of its code is noticed before it
is committed.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bench.core.identity import short_hash
from bench.core.source_hash import called_targets, source_sha256
from bench.cost.ledger import ledger_header
from bench.cost.our_heads import systems
from bench.cost.schema import HeadLedger, HeadRow, ledger_class

# limits on the time of measuring, which do not change what a figure means; `act_seconds` and `visit_seconds` are
# earlier names of two of them, which published ledgers still have
TIME_LIMITS = frozenset(
    "rounds operation_seconds repeat_seconds longest_seconds index_seconds act_seconds visit_seconds".split()
)

SAME_MACHINE = ("device", "precision", "threads", "rounds", "versions", "git_commit")  # ledger fields of one table


def meaning(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a ledger's figures depend on, without the configurations of the heads."""
    kept = {key: config[key] for key in ("vocabulary", "seed")}
    kept["cost"] = {key: value for key, value in config["cost"].items() if key not in TIME_LIMITS}
    if config["cost"]["part"] == "model":
        kept |= {"backbone": config["backbone"], "streams": config["batch"]["streams"]}
    return kept


def header(config: dict[str, Any]) -> dict[str, Any]:
    """Return all fields of a ledger except its rows and the machine's peak."""
    cost = config["cost"]
    return {
        "vocabulary_size": config["vocabulary"]["size"],
        **{key: cost[key] for key in ("positions", "hidden_size", "target_size")},
        **ledger_header(config, device=cost["device"], precision=cost["precision"], rounds=cost["rounds"]),
    }


def comparable_ledgers(config: dict[str, Any], folder: Path) -> list[HeadLedger]:
    """Read the ledgers in a folder that differ from `config` at most in V, contenders and time limits, by end time."""

    def at_any_v(settings: dict[str, Any]) -> dict[str, Any]:
        kept = meaning(settings)
        return kept | {"vocabulary": None, "cost": kept["cost"] | {"contenders": None}}

    paths = folder.glob(f"{HeadLedger.prefix}*.json")  # the pattern matches records of vmf too
    ledgers = [HeadLedger.read(path) for path in paths if ledger_class(path) is HeadLedger]
    same = [ledger for ledger in ledgers if at_any_v(ledger.config) == at_any_v(config)]
    return sorted(same, key=lambda ledger: ledger.finished_at)


def head_identities() -> dict[str, str]:
    """Return the short hashes of each head's own configuration and sources, by the name of its system."""
    heads = {cfg.system.name: OmegaConf.to_container(cfg.system.head, resolve=True) for cfg in systems()}
    return {name: f"{short_hash(head)}-{source_sha256(called_targets(head))[:8]}" for name, head in heads.items()}


def has_other_code(ledger: HeadLedger) -> bool:
    """True if a row is of other sources than the head of the same configuration has today.

    Rows of ledgers that were written before identities had a hash of sources do not count.
    """
    identities = head_identities()
    for row in ledger.rows:
        configuration, _, sources = (row.identity or "").partition("-")
        today = identities.get(row.contender, "").partition("-")
        if sources and configuration == today[0] and sources != today[2]:
            return True
    return False


def reusable_rows(config: dict[str, Any], ledgers: Sequence[HeadLedger]) -> dict[str, HeadRow]:
    """Return the rows of earlier ledgers at this V that need not be timed again, by contender.

    Settings, machine, packages and commit are the same, and so are the head's own configuration and sources. A row that
    failed or lacked a package is timed again.
    """
    here, identities, rows = header(config), head_identities(), {}
    for ledger in ledgers:
        same_limits = ledger.config["cost"] | {"contenders": None} == config["cost"] | {"contenders": None}
        same_machine = all(getattr(ledger, field) == here[field] for field in SAME_MACHINE)
        if ledger.vocabulary_size != config["vocabulary"]["size"] or not (same_limits and same_machine):
            continue
        for row in ledger.rows:
            current = row.identity == identities.get(row.contender) and row.status not in ("failed", "missing")
            if current and ledger.git_commit is not None:
                rows[row.contender] = dataclasses.replace(row, measured_at=row.measured_at or ledger.finished_at)
    return rows


def smaller_rows(config: dict[str, Any], ledgers: Sequence[HeadLedger]) -> dict[str, HeadRow]:
    """Return each contender's row at the largest smaller V, by contender.

    A row that was cut off under a shorter time limit does not count.
    """
    rows: dict[str, HeadRow] = {}
    for ledger in sorted(ledgers, key=lambda each: each.vocabulary_size):
        patient = ledger.config["cost"]["longest_seconds"] >= config["cost"]["longest_seconds"]
        if ledger.vocabulary_size < config["vocabulary"]["size"]:
            rows |= {row.contender: row for row in ledger.rows if patient or row.status != "slow"}
    return rows
