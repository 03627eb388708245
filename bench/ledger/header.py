"""The fields that every ledger has from its process: which machine, which versions, when."""

from typing import Any

import torch

from bench.provenance import cpu_name, now, reproducing


def header(config: dict[str, Any], *, device: str, precision: str, rounds: int) -> dict[str, Any]:
    """All of `bench.ledger.files.Ledger` but the rows.

    Args:
        device: `cpu` or `cuda`; the ledger has its name.
        precision: what was computed in.
    """
    made_by = reproducing(config)
    return {
        "experiment": config["experiment_name"],
        "device": torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else cpu_name(),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        **{key: made_by[key] for key in ("config", "versions", "git_commit")},
        "finished_at": now(),
    }
