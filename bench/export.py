"""`python -m bench.export FOLDER [OVERRIDE …]`: write the text that a cell reads, for a model of your own.

The overrides are those of `python -m bench`. docs/own_models.md says how to score what the model predicts.
"""

import argparse
from pathlib import Path

from omegaconf import DictConfig

from bench.core.command_line import composed
from bench.core.environment import silence_libraries, substitute_unprintable
from bench.core.errors import SettingError
from bench.core.files import write_atomically
from bench.core.refusals import exiting_on_refusal
from bench.data.collect import SPLITS
from bench.data.corpus import Corpus
from bench.data.corpus_cache import open_corpus
from bench.data.vocabulary import Vocabulary
from bench.training.build import evaluation_data_of

SUMMARY = "Write the text that a cell reads, for a model of your own."


def export(cfg: DictConfig, folder: Path) -> Vocabulary:
    """Write the three splits, the vocabulary and the hash of the corpus into a folder.

    `train.txt`, `validation.txt` and `test.txt` have a document per line, its words separated by single spaces, words
    outside the vocabulary included; `vocabulary.txt` has a word per line in the order of the ids.

    Raises:
        SettingError: settings that cannot work, a word that holds white space, or a folder that cannot be written.
    """
    vocabulary = evaluation_data_of(cfg, open_corpus(cfg.corpus.source, cfg.cache_dir)).vocabulary
    corpus = vocabulary.corpus
    spaced = next((word for word in corpus.lexicon if word.split() != [word]), None)
    if spaced is not None:
        raise SettingError("corpus", f"the word {spaced!r} holds white space, which separates words; split it first")
    lines = {split: documents(corpus, split) for split in SPLITS}
    lines |= {"vocabulary": vocabulary.words, "corpus_sha256": [corpus.digest]}
    for name, content in lines.items():
        text = "\n".join(content) + "\n"
        write_atomically(folder / f"{name}.txt", lambda file, text=text: file.write(text.encode()), "FOLDER")
    return vocabulary


def documents(corpus: Corpus, split: str) -> list[str]:
    """Return the words of each document of a split, joined by single spaces."""
    return [" ".join(corpus.words_of(document)) for document in getattr(corpus, split).documents()]


def main() -> None:
    """Write the files and print their sizes; or print one line on bad input."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.export", description=SUMMARY)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the text files; may exist")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as of python -m bench: vocabulary.size=20000")
    arguments = parser.parse_args()
    with exiting_on_refusal():
        cfg = composed(arguments.overrides)
        silence_libraries()
        vocabulary = export(cfg, arguments.folder)
    sizes = (f"{split} {len(getattr(vocabulary.corpus, split)):,} words" for split in SPLITS)
    print(f"{arguments.folder}: {', '.join(sizes)}; V = {len(vocabulary):,}")


if __name__ == "__main__":
    main()
