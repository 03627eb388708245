"""Train one further rank of a cell: `python -m bench.training.ddp_worker PORT RANK`, its configuration on stdin.

The worker trains only; rank 0 validates, evaluates and writes.
"""

import json
import math
import sys
from pathlib import Path

import torch
from omegaconf import OmegaConf

from bench.core.cpu_threads import limit_threads
from bench.core.environment import silence_libraries
from bench.core.progress import CONSOLE, Bar
from bench.training.build import build_cell
from bench.training.checkpoint import Checkpoint
from bench.training.distributed import LocalRank
from bench.training.train import make_budget, make_trainer


def main() -> None:
    """Take the same steps as rank 0, on this rank's share of each batch."""
    port, rank = (int(each) for each in sys.argv[1:])
    limit_threads()
    silence_libraries()
    cfg = OmegaConf.create(json.load(sys.stdin))
    CONSOLE.quiet = True  # rank 0 reports for all
    built = build_cell(cfg)
    torch.manual_seed(cfg.seed + rank)  # each rank draws other dropout masks and negatives
    with Bar(f"rank {rank}") as bar:
        never = Checkpoint(Path(), seconds=math.inf, source_sha256="")
        budget = make_budget(cfg, validate=dict, flops_per_position=0.0, checkpoint=never, bar=bar)
        trainer = make_trainer(cfg, budget, LocalRank(rank, port), logger=None)
        built.datamodule.batches.shard(rank, trainer.world_size)
        trainer.fit(built.model, built.datamodule)


if __name__ == "__main__":
    main()
