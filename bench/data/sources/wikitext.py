"""WikiText-2 and WikiText-103 from the hub or from a local copy."""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from bench.core import hub
from bench.core.errors import SettingError
from bench.data.corpus import Corpus, build_corpus, tokenize


@functools.cache
def wikitext(subset: str, path: str | int | float | None = None, lowercase: bool = True) -> Corpus:
    """WikiText raw, its own splits, a document an article, from the hub or a local copy.

    Args:
        subset: `wikitext-2-raw-v1` or `wikitext-103-raw-v1`.
        path: a folder that `datasets` wrote (`save_to_disk`) or that holds the parquet files; null for the hub.

    Raises:
        SettingError: the hub is out of reach, or the folder is not such a copy.
    """
    import datasets

    try:
        if path is None:
            found = hub.fetch("Salesforce/wikitext", [f"{subset}/*.parquet"], kind="dataset", ignore=None)
            rows = parquet(found / subset)
        elif (Path(str(path)).expanduser() / "dataset_dict.json").is_file():
            rows = datasets.load_from_disk(Path(str(path)).expanduser())
        else:
            rows = parquet(Path(str(path)).expanduser())
        lines = {split: rows[split]["text"] for split in ("train", "validation", "test")}
    except Exception as error:  # the hub client raises many types; each means the same to the user
        where = path or f"Salesforce/wikitext {subset} on the hub"
        raise SettingError(
            "corpus",
            f"cannot read {where} ({type(error).__name__}); give a local copy by corpus.path=FOLDER, "
            "or use corpus=wiki_sample, which needs no network",
        ) from error
    return build_corpus(
        subset, {split: [tokenize(a, lowercase) for a in articles(text)] for split, text in lines.items()}
    )


def parquet(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Splits by the beginning of their files' names, read in place: no script is run, no second cache is trusted."""
    from pyarrow.parquet import read_table

    found: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.parquet")):
        found.setdefault(re.split(r"\W", file.name)[0], []).extend(
            read_table(file, columns=["text"])["text"].to_pylist()
        )
    return {split: {"text": text} for split, text in found.items()}


def articles(lines: Iterable[str]) -> list[str]:
    """WikiText's lines -> its articles: each begins with a heading between single equals signs."""
    found: list[list[str]] = [[]]
    for line in lines:
        if re.fullmatch(r"\s*= [^=](?:.*[^=])? =\s*", line):
            found.append([])
        found[-1].append(line)
    return ["".join(article) for article in found if article]
