"""English Wikipedia sample shipped by the gensim wheel."""

import bz2
import functools
import re

from bench.data.corpus import Corpus, build_corpus
from bench.data.splits import AT_RANDOM, split_by_document
from bench.data.words import read_document

WIKI_DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


@functools.cache  # a sweep in one process reads its corpus once
def wiki_sample(lowercase: bool = True) -> Corpus:
    """Return 107 articles of the English Wikipedia from the test data of the `gensim` wheel."""
    from gensim.corpora.wikicorpus import extract_pages, filter_wiki
    from gensim.test.utils import datapath

    with bz2.open(datapath(WIKI_DUMP)) as dump:
        pages = [markup for _, markup, _ in extract_pages(dump, filter_namespaces=("0",))]
    articles = [filter_wiki(markup) for markup in pages if not markup.lstrip().upper().startswith("#REDIRECT")]
    # remove the markup that filter_wiki leaves: bold and italic quotes, heading bars, list bullets
    prose = [re.sub(r"''+|^[*#:;=]+|=+$", " ", article, flags=re.MULTILINE) for article in articles]
    documents = [read_document(article, lowercase) for article in prose]
    return build_corpus("wiki_sample", split_by_document(documents), AT_RANDOM)
