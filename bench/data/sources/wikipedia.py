"""English Wikipedia sample shipped by the gensim wheel."""

import bz2
import functools
import re

from bench.data.corpus import Corpus, build_corpus, split_by_document, tokenize

WIKI_DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


@functools.cache  # a sweep in one process reads its corpus once
def wiki_sample(lowercase: bool = True) -> Corpus:
    """107 articles of the English Wikipedia, from the test data that the `gensim` wheel carries."""
    from gensim.corpora.wikicorpus import extract_pages, filter_wiki
    from gensim.test.utils import datapath

    with bz2.open(datapath(WIKI_DUMP)) as dump:
        pages = [markup for _, markup, _ in extract_pages(dump, filter_namespaces=("0",))]
    articles = [filter_wiki(markup) for markup in pages if not markup.lstrip().upper().startswith("#REDIRECT")]
    # what filter_wiki leaves of the markup: bold and italic quotes, heading bars, list bullets
    prose = [re.sub(r"''+|^[*#:;=]+|=+$", " ", article, flags=re.MULTILINE) for article in articles]
    return build_corpus("wiki_sample", split_by_document([tokenize(article, lowercase) for article in prose]))
