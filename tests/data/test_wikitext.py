"""WikiText from every kind of local copy, and the copies that would mix its subsets."""

from pathlib import Path

import datasets
import pytest

from bench.core.errors import SettingError
from bench.data.sources.wikitext import articles, wikitext

SUBSET = "wikitext-2-raw-v1"
SPLITS = {"train": ["Alpha", "Beta"], "validation": ["Gamma"], "test": ["Delta"]}


def lines(titles: list[str]) -> list[str]:
    """An article per title."""
    return [line for title in titles for line in (" \n", f" = {title} = \n", " \n", f" About {title} .\n")]


def write_parquet(folder: Path, name: str, titles: dict[str, list[str]] = SPLITS) -> Path:
    """A parquet file per split, whose path is `name` with the split in it."""
    for split, articles_of_split in titles.items():
        file = folder / name.format(split)
        file.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict({"text": lines(articles_of_split)}).to_parquet(file)
    return folder


def write_plain(folder: Path, suffix: str) -> Path:
    """The three plain files of the original archive."""
    folder.mkdir(exist_ok=True)
    for name, split in {"train": "train", "valid": "validation", "test": "test"}.items():
        (folder / f"wiki.{name}.{suffix}").write_text("".join(lines(SPLITS[split])), encoding="utf-8")
    return folder


def test_an_article_begins_with_a_heading_of_one_sign():
    first, second = (
        [" = Title one = \n", "\n", " Text .\n", " = = Part = = \n", " More .\n"],
        [" = I = \n", " 1 = 1\n"],
    )
    assert articles(["", *first, *second]) == ["", "".join(first), "".join(second)]
    assert articles(first) == ["".join(first)]
    assert articles([]) == []


def test_wikitext_from_a_local_copy(tmp_path):
    def split(*titles):
        lines = [line for title in titles for line in ("", f" = {title} = \n", f" About {title} .\n")]
        return datasets.Dataset.from_dict({"text": lines})

    rows = {"train": split("Alpha", "Beta"), "validation": split("Gamma"), "test": split("Delta")}
    datasets.DatasetDict(rows).save_to_disk(tmp_path / "copy")
    made = wikitext("wikitext-2-raw-v1", str(tmp_path / "copy"))
    assert made.name == "wikitext-2-raw-v1"
    assert [made.words_of(document) for document in made.train.documents()] == [
        ["=", title, "=", "about", title, "."] for title in ("alpha", "beta")
    ]
    assert made.words_of(made.test.words)[1] == "delta"
    (tmp_path / "files").mkdir()
    for name, split_rows in rows.items():
        split_rows.to_parquet(tmp_path / "files" / f"{name}-00000-of-00001.parquet")
    assert wikitext("wikitext-2-raw-v1", str(tmp_path / "files")).digest == made.digest
    with pytest.raises(SettingError, match=r"^corpus: cannot read .*corpus=wiki_sample, which needs no network$"):
        wikitext("wikitext-2-raw-v1", str(tmp_path / "elsewhere"))


@pytest.mark.parametrize("name", ["{}-00000-of-00001.parquet", "{}/0000.parquet", "default/{}/0000.parquet"])
def test_wikitext_from_the_names_of_the_hubs_parquet_files(tmp_path, name):
    made = wikitext(SUBSET, str(write_parquet(tmp_path / "copy", name)))
    assert made.words_of(made.train.words)[1:6:4] == ["alpha", "."] and len(made.train.documents()) == 2
    assert made.words_of(made.validation.words) == ["=", "gamma", "=", "about", "gamma", "."]
    assert made.words_of(made.test.words) == ["=", "delta", "=", "about", "delta", "."]


@pytest.mark.parametrize("suffix", ["tokens", "raw"])
def test_wikitext_from_plain_files(tmp_path, suffix):
    made = wikitext(SUBSET, str(write_plain(tmp_path / "plain", suffix)))
    assert made.digest == wikitext(SUBSET, str(write_parquet(tmp_path / "copy", "{}/0000.parquet"))).digest
    assert made.test.raw_bytes.sum() == len(" = Delta = \n \n About Delta .\n")


def test_a_clone_of_the_repository_gives_the_subset_asked_for(tmp_path):
    for subset in ("wikitext-103-raw-v1", "wikitext-103-v1", SUBSET, "wikitext-2-v1"):
        titles = {split: [f"{title}{subset[9:]}" for title in names] for split, names in SPLITS.items()}
        write_parquet(tmp_path / subset, "{}-00000-of-00001.parquet", titles)
    (tmp_path / "README.md").write_text("train test")
    made = wikitext(SUBSET, str(tmp_path))
    assert len(made.test.documents()) == 1
    assert made.words_of(made.test.words)[:6] == ["=", "delta2", "-", "raw", "-", "v1"]


def test_folders_that_hold_one_split_twice_are_refused(tmp_path):
    for folder in ("one", "two"):
        write_parquet(tmp_path / folder, "{}/0000.parquet")
    problem = rf"^corpus.path: {tmp_path} holds the test split 2 times \({tmp_path}/one/\*.parquet, {tmp_path}/two/"
    with pytest.raises(SettingError, match=problem):
        wikitext(SUBSET, str(tmp_path))


def test_plain_files_of_two_kinds_are_refused(tmp_path):
    write_plain(tmp_path, "raw")
    write_plain(tmp_path, "tokens")
    with pytest.raises(SettingError, match=r"holds the test split 2 times \(.*/\*\.raw, .*/\*\.tokens\)"):
        wikitext(SUBSET, str(tmp_path))
