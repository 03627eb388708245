"""English Wikipedia sample shipped by the gensim wheel."""

import bz2
import functools
import importlib.metadata
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.collect import collect, in_blocks, write_corpus
from bench.data.corpus import Corpus
from bench.data.corpus_cache import cached_corpus, wheel_file
from bench.data.splits import AT_RANDOM, draw_splits

WIKI_DUMP = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


@functools.cache  # a sweep in one process opens its corpus once
def wiki_sample(lowercase: bool = True, cache_dir: str | None = None) -> Corpus:
    """Return 106 articles of the English Wikipedia from the test data of the `gensim` wheel (a 107th is empty).

    Args:
        cache_dir: folder that keeps the tokenised text; null tokenises the text again in every process.
    """
    dump, sha256 = wheel_file("gensim", WIKI_DUMP)

    def fill(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
        collected = collect(folder, in_blocks([article] for article in articles(dump)), lowercase, heartbeat)
        splits = draw_splits(np.diff(collected.text.starts))
        return {**write_corpus(folder, "wiki_sample", collected, splits), "origin": AT_RANDOM}

    parser = importlib.metadata.version("gensim")
    settings = {"source": "wiki_sample", "sha256": sha256, "gensim": parser, "lowercase": lowercase}
    return cached_corpus("wiki_sample", settings, cache_dir, fill)


def articles(file: Path) -> Iterator[str]:
    """Yield the text of each article of a dump, without markup and redirections."""
    from gensim.corpora.wikicorpus import extract_pages, filter_wiki

    with bz2.open(file) as dump:
        for _, markup, _ in extract_pages(dump, filter_namespaces=("0",)):
            if not markup.lstrip().upper().startswith("#REDIRECT"):
                # remove the markup that filter_wiki leaves: bold and italic quotes, heading bars, list bullets
                yield re.sub(r"''+|^[*#:;=]+|=+$", " ", filter_wiki(markup), flags=re.MULTILINE)
