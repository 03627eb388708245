"""Changed defaults: a finished cell keeps its name, and tables do not split its seeds."""

import json

import pytest
from factories.configurations import plain

from bench.core.history import ADDED_SINCE_LOOPS, CHANGED
from bench.core.identity import identity, short_hash
from bench.core.record import Record
from bench.report import run_table

ENGLISH = ["the history of the", "in the second world war , the", "he was born in", "the theory of evolution"]


def with_prompts(prompts: list[str] | None) -> dict:
    config = plain("system=softmax", "corpus=kjv")
    return config | {"generation": config["generation"] | {"prompts": prompts}}


def test_default_prompts_have_the_hash_of_the_first_published_default():
    assert plain("corpus=kjv")["generation"]["prompts"] is None
    assert identity(with_prompts(None)) == identity(with_prompts(ENGLISH))
    assert identity(with_prompts(None)) != identity(with_prompts(ENGLISH[:1]))
    config = with_prompts(None)
    assert short_hash(config, ADDED_SINCE_LOOPS) == short_hash(with_prompts(ENGLISH), ADDED_SINCE_LOOPS)
    assert config["generation"]["prompts"] is None  # hashing changes no configuration


@pytest.mark.parametrize("setting", CHANGED)
def test_new_default_is_the_default_of_the_configuration(setting):
    value = plain("corpus=kjv")
    for key in setting.split("."):
        value = value[key]
    assert json.dumps(value) == json.dumps(CHANGED[setting][0])


def test_seeds_before_and_after_a_changed_default_are_one_cell():
    shared = {"experiment": "e", "system": "softmax", "head": None, "backbone": "lstm", "corpus": "kjv"}
    records = [
        Record(**shared, vocabulary_size=1000, seed=seed, config=with_prompts(prompts), bits_per_byte=2.0)
        for seed, prompts in enumerate((ENGLISH, None))
    ]
    assert run_table.cells(run_table.runs(records)).seeds.tolist() == [2]
