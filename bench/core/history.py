"""Names and defaults of the configuration that changed after records were published.

A record's file name is a hash of its configuration. Three tables keep that hash stable: a class or function that moves
is hashed by its first published name, a setting that is added later is not hashed while it has its default, and a
setting whose default changes is hashed with the first default while it has the new one.
"""

from typing import Any

from bench.core.dotted import dotted

MOVED = {  # first published name -> name today; values of `_target_` and `job`
    "bench.backbones.rnn.RNN": "bench.models.backbones.rnn.RNN",
    "bench.cell": "bench.run.CellJob",
    "bench.corpus.kjv": "bench.data.sources.bible.kjv",
    "bench.corpus.synthetic": "bench.data.sources.synthetic.synthetic",
    "bench.corpus.text": "bench.data.sources.files.text",
    "bench.corpus.wiki_sample": "bench.data.sources.wikipedia.wiki_sample",
    "bench.corpus.wikitext": "bench.data.sources.wikitext.wikitext",
    "bench.devices.mixed": "bench.core.hardware.mixed",
    "bench.ledger.encoding": "bench.cost.encoder_sweep.EncoderSweep",
    "bench.ledger.job": "bench.cost.head_sweep.HeadSweep",
    "bench.ledger.looping": "bench.cost.loop_sweep.LoopSweep",
    "bench.loggers.csv": "bench.training.loggers.csv",
    "bench.loggers.none": "bench.training.loggers.none",
    "bench.loggers.weights_and_biases": "bench.training.loggers.weights_and_biases",
    "bench.models.CountModel": "bench.models.count_model.CountModel",
    "bench.models.TruthModel": "bench.models.truth_model.TruthModel",
    "bench.subword.SubwordModel": "bench.models.causal_lm.SubwordModel",
    "bench.targets.bert": "bench.targets.tables.bert",
    "bench.targets.random": "bench.targets.random.random",
    "bench.targets.tables.random": "bench.targets.random.random",  # its second name; the first is listed first
}
FIRST_OF_TODAY = {today: first for first, today in reversed(MOVED.items())}  # of two earlier names, the first listed
FIRST_NAMES = FIRST_OF_TODAY | {earlier: FIRST_OF_TODAY[today] for earlier, today in MOVED.items()}
ADDED = {  # setting -> default: added after records were published, and not hashed while it has this value
    "corpus.train_words": None,
    "targets.unit_length": False,
    "system.head.targets.unit_length": False,
}
CHANGED: dict[str, tuple[Any, Any]] = {  # setting -> (default today, first published default)
    "generation.prompts": (
        None,
        ["the history of the", "in the second world war , the", "he was born in", "the theory of evolution"],
    ),
}
ADDED_SINCE_LOOPS: dict[str, Any] = {  # the same for ledgers of the training loop, which were published later
    "targets.unit_length": False,
}
ADDED_SYSTEMS = (  # systems added after cost ledgers were published: a ledger's name does not depend on these
    "frozen_softmax",
    "initialised_softmax",
    "max_margin",
    "projected_softmax",
    "rescued",
)


def current(config: Any) -> Any:
    """Replace names of earlier versions by the names of today, so that an old record's cell can be built."""
    return renamed(config, MOVED)


def published(config: dict[str, Any], added: dict[str, Any] = ADDED) -> dict[str, Any]:
    """Write a configuration as it was first published: first names and defaults, no setting that was added since."""
    return renamed(with_first_defaults(without_added(config, added)), FIRST_NAMES)


def renamed(value: Any, names: dict[str, str]) -> Any:
    """Replace every text that equals a key of `names`, at any depth."""
    if isinstance(value, dict):
        return {key: renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


def without_added(value: Any, added: dict[str, Any], key: str = "") -> Any:
    """Leave out the settings of `added` that have their default value."""
    if not isinstance(value, dict):
        return value
    inside = {name: dotted(key, name) for name in value}
    return {
        name: without_added(each, added, inside[name])
        for name, each in value.items()
        if not (inside[name] in added and each == added[inside[name]])
    }


def with_first_defaults(value: Any, key: str = "") -> Any:
    """Replace the default of today by the first published default in the settings of CHANGED."""
    if isinstance(value, dict):
        return {name: with_first_defaults(each, dotted(key, name)) for name, each in value.items()}
    return CHANGED[key][1] if key in CHANGED and value == CHANGED[key][0] else value
