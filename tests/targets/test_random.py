"""Random target rows: their seed and their length."""

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from bench.targets.random import random
from bench.targets.tables import Targets

GIVEN = {"name": "random", "cache_dir": "", "level": "type", "dimension": 2000, "seed": 0}


def test_rows_follow_their_seed_alone(vocabulary):
    def rows(seed: int) -> torch.Tensor:
        return random(vocabulary=vocabulary, **GIVEN | {"seed": seed}).table[:5]

    assert torch.equal(rows(0), rows(0))
    together = torch.cat([rows(0), rows(1)])
    torch.testing.assert_close(torch.corrcoef(together), torch.eye(10), atol=0.1, rtol=0)
    torch.testing.assert_close(together.std(), torch.tensor(1.0), atol=0.02, rtol=0)


def test_rows_of_unit_length_have_the_directions_of_those_without(vocabulary):
    plain, unit = (random(vocabulary=vocabulary, unit_length=unit, **GIVEN).table for unit in (False, True))
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(len(vocabulary)))
    torch.testing.assert_close(unit * plain.norm(dim=1, keepdim=True), plain)


def test_configuration_builds_rows_of_unit_length(vocabulary, pytestconfig):
    group = OmegaConf.load(pytestconfig.rootpath / "conf" / "targets" / "random.yaml")
    made: Targets = instantiate(group, vocabulary=vocabulary, cache_dir="")
    assert (made.name, made.level, made.table.shape) == ("random", "type", (len(vocabulary), 384))
    torch.testing.assert_close(made.table.norm(dim=1), torch.ones(len(vocabulary)))
