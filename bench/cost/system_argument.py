"""`system=a,b` on the command line of a cost experiment: the systems to measure, and not one job per system.

A cost experiment measures its contenders in interleaved rounds of one job, so that a drift of the machine's speed
affects all alike. Hydra would make `system=a,b` two jobs.
"""

import re

from hydra import compose, initialize_config_dir

from bench.core.environment import config_dir
from bench.core.errors import SettingError
from bench.core.refusals import REFUSED
from bench.cost.ledger import BASELINE


def as_contenders(arguments: list[str]) -> list[str]:
    """Replace `system=a,b` by `cost.contenders=[a,b,'peer:*']` if the experiment has contenders.

    Raises:
        SettingError: `system` is no list of names, `cost.contenders` is given too, or a system's setting is changed.
    """
    systems = [each for each in arguments if each.startswith("system=")]
    options = [each for each in arguments if each.lstrip("+~").startswith("system.")]
    experiments = [each for each in arguments if re.match(r"\+?experiment=\w+$", each)]
    if not (systems or options) or not experiments or not has_contenders(experiments):
        return arguments
    if options:
        problem = "a cost experiment measures every system as its file in conf/system says; give the variant a file"
        raise SettingError(options[0].lstrip("+~").partition("=")[0], problem)
    names = systems[-1].partition("=")[2]
    if any(each.lstrip("+").startswith("cost.contenders=") for each in arguments):
        raise SettingError("system", "cost.contenders names the systems already; give one of the two")
    if not re.fullmatch(r"\w+(,\w+)*", names):
        raise SettingError("system", f"{names} is not a list of names; give e.g. cost.contenders=[softmax,cosine]")
    replaced = [each for each in arguments if each not in systems]
    return [*replaced, f"cost.contenders=[{names},'{BASELINE}*']"]


def has_contenders(experiments: list[str]) -> bool:
    """True if the configuration of an experiment has the setting `cost.contenders`."""
    try:
        with initialize_config_dir(config_dir(), version_base="1.3"):
            cost = compose("config", experiments).get("cost")
    except REFUSED:  # reported when Hydra composes the whole command line
        return False
    return cost is not None and "contenders" in cost
