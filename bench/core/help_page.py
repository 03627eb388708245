"""`python -m bench --help`: purpose, examples, choices of every group, and settings.

Hydra would list each group by composing the configuration again, which takes longer than all imports together.
"""

import itertools
import re
from pathlib import Path

from omegaconf import OmegaConf

from bench.core.environment import config_dir

EXPLAINED = ("experiment", "system", "corpus")  # groups whose choices have a line each


def help_page() -> str:
    """Return the text of conf/hydra/help/bench.yaml with the groups and their choices filled in."""
    tree = Path(config_dir())
    page = OmegaConf.to_container(OmegaConf.load(tree / "hydra" / "help" / "bench.yaml"), resolve=False)
    parts = {
        "${hydra.help.header}": page["header"],
        "$APP_CONFIG_GROUPS": groups(tree),
        "${hydra.help.footer}": page["footer"],
    }
    text = page["template"]
    for placeholder, part in parts.items():
        text = text.replace(placeholder, part)
    return text


def groups(tree: Path) -> str:
    """Return the groups of a configuration tree: a line per choice if choices are explained, else a line per group."""
    explained, listed = [], []
    names = {folder.name for folder in tree.iterdir() if folder.is_dir()} - {"hydra"}
    for group in (*EXPLAINED, *sorted(names.difference(EXPLAINED))):
        files = sorted((tree / group).glob("*.yaml"))
        if group in EXPLAINED:
            width = max(len(file.stem) for file in files)
            explained += [f"{group}:", *(f"  {file.stem:{width}}  {purpose(file)}" for file in files)]
        else:
            listed.append(f"{group}: {', '.join(file.stem for file in files)}")
    return "".join(f"{line}\n" for line in (*explained, *listed))


def purpose(file: Path) -> str:
    """Return the first sentence of the comment at the head of a configuration file; empty without such a comment."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("# @package")]
    comment = itertools.takewhile(lambda line: line.startswith("# "), lines)
    sentences = " ".join(line.removeprefix("# ") for line in comment)
    return re.split(r"(?<=[.?]) ", sentences, maxsplit=1)[0].rstrip(".")
