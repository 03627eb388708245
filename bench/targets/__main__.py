"""Write the target table of a configuration into a file: `python -m bench.targets FILE.safetensors [OVERRIDE …]`.

The overrides are those of `python -m bench`. `targets=static targets.path=FILE.safetensors` reads the table again, for
example on a machine without the encoder.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from safetensors.torch import save
from torch import Tensor

from bench.core.command_line import composed
from bench.core.environment import silence_libraries, substitute_unprintable
from bench.core.errors import SettingError
from bench.core.files import write_atomically
from bench.core.paths import resolved_config
from bench.core.provenance import reproducibility_fields
from bench.core.refusals import exiting_on_refusal
from bench.data.corpus_cache import open_corpus
from bench.data.vocabulary import Vocabulary
from bench.targets.tables import Targets

FORMAT = "head-bench targets 1"  # of the file, in its metadata

UNIT = 1e-3  # rounding error of a length of 1 in float16


def export(cfg: DictConfig, path: Path) -> Tensor:
    """Write the table as float16 with its words and its provenance, whole or not at all.

    The file has the tensors `rows` [V, D] float16 and `words`, the UTF-8 bytes of the V words joined by newlines.

    Returns:
        The table before it is rounded to float16 [V, D].

    Raises:
        SettingError: settings that cannot work, or a path that cannot be written.
    """
    config = resolved_config(cfg)
    corpus = open_corpus(cfg.corpus.source, cfg.cache_dir).trained_on(cfg.corpus.get("train_words"))
    vocabulary = Vocabulary(corpus, cfg.vocabulary.size)
    targets: Targets = instantiate(cfg.targets, vocabulary=vocabulary, cache_dir=cfg.cache_dir)
    words = torch.frombuffer(bytearray("\n".join(vocabulary.words).encode()), dtype=torch.uint8)
    metadata = provenance(config, targets, corpus.digest)
    content = save({"words": words, "rows": targets.table.half().contiguous()}, metadata)
    write_atomically(path, lambda file: file.write(content), "FILE")
    return targets.table


def provenance(config: dict[str, Any], targets: Targets, corpus_sha256: str) -> dict[str, str]:
    """Return the metadata of the file: its format, and the provenance of the rows as JSON."""
    made = reproducibility_fields(config)
    facts = {
        "corpus": config["corpus"],
        "vocabulary_size": len(targets.table),
        "targets": config["targets"],
        "corpus_sha256": corpus_sha256,
        "weights_sha256": targets.weights_sha256,
        "encode_seconds": targets.encode_seconds,
        **{key: made[key] for key in ("versions", "device", "git_commit")},
    }
    return {"format": FORMAT, "provenance": json.dumps(facts)}


def main() -> None:
    """Write the file and print the command that reads it; or print one line on bad input."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.targets", description=__doc__.split(": ", 1)[0] + ".")
    parser.add_argument("file", type=Path, metavar="FILE", help="ends in .safetensors")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as of python -m bench: vocabulary.size=20000")
    arguments = parser.parse_args()
    with exiting_on_refusal():
        if arguments.file.suffix != ".safetensors":
            raise SettingError("FILE", f"{arguments.file} does not end in .safetensors; give such a name")
        cfg = composed(arguments.overrides)
        silence_libraries()
        table = export(cfg, arguments.file)
    mib = arguments.file.stat().st_size / 2**20
    size, width = table.shape
    # `targets=static` scales to length 1 unless it is told otherwise
    is_unit = bool(((table.norm(dim=1) - 1).abs() < UNIT).all())
    read = f"targets=static targets.path={arguments.file}" + ("" if is_unit else " targets.normalise=false")
    print(f"{size:,} words, {width} columns, {mib:.1f} MiB: {read}")


if __name__ == "__main__":
    main()
