"""Words of ten scripts in either normal form, of texts that are tokenised already, and their bytes in the original."""

import unicodedata

import numpy as np
import pytest
import regex

from bench.data.corpus import build_corpus
from bench.data.sources.files import text
from bench.data.vocabulary import Vocabulary
from bench.data.words import UNK, read_document, tokenize
from bench.evaluation.quality import quality
from bench.evaluation.score import ScoredText
from bench.models.spelling import Speller

SCRIPTS = {
    "latin": ("Café crème à Ångström", ["café", "crème", "à", "ångström"]),
    "hindi": ("हिन्दी में क्षेत्र", ["हिन्दी", "में", "क्षेत्र"]),
    "persian": ("می‌خواهم کتاب‌ها", ["می‌خواهم", "کتاب‌ها"]),
    "arabic": ("كَتَبَ آدَمُ", ["كَتَبَ", "آدَمُ"]),
    "hebrew": ("שָׁלוֹם עוֹלָם צה״ל", ["שָׁלוֹם", "עוֹלָם", "צה״ל"]),
    "thai": ("น้ำดี", ["น้ำ", "ดี"]),
    "korean": ("한국어 텍스트", ["한국어", "텍스트"]),
    "japanese": ("東京タワーがある", ["東", "京", "タワー", "が", "あ", "る"]),
    "chinese": ("我爱北京。", ["我", "爱", "北", "京", "。"]),
    "turkish": ("İstanbul Iğdır", ["i̇stanbul", "iğdır"]),
    "emoji": ("👩‍👩‍👧 👍🏽🇫🇷🇩🇪 ❤️", ["👩‍👩‍👧", "👍🏽", "🇫🇷", "🇩🇪", "❤️"]),
}
WHOLE_CLUSTERS = {"thai"}  # UAX #29 breaks before the vowel of น้ำ, which is part of a character as readers see it


@pytest.mark.parametrize("script", SCRIPTS)
def test_words_of_a_script_are_equal_in_either_normal_form(script):
    content, words = SCRIPTS[script]
    expected = [unicodedata.normalize("NFC", word) for word in words]
    for form in ("NFC", "NFD"):
        assert tokenize(unicodedata.normalize(form, content)) == expected


@pytest.mark.parametrize("script", sorted(set(SCRIPTS) - WHOLE_CLUSTERS))
def test_words_of_a_script_are_those_of_the_regex_package(script):
    content = unicodedata.normalize("NFC", SCRIPTS[script][0])
    parts = regex.split(r"(?w)\b", content, flags=regex.V1)
    assert tokenize(content, lowercase=False) == [part for part in parts if part.strip()]


@pytest.mark.parametrize("script", SCRIPTS)
def test_corpus_is_equal_in_either_normal_form(tmp_path, script):
    digests = set()
    for form in ("NFC", "NFD"):
        file = tmp_path / form / "text.txt"
        file.parent.mkdir()
        content = unicodedata.normalize(form, f"{SCRIPTS[script][0]} a b\n\n")
        file.write_text(content * 8, encoding="utf-8")
        digests.add(text(str(file)).digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("string", "words"),
    [
        ("co\u00adoperate", ["cooperate"]),  # soft hyphen
        ("e\u00ad\u0301", ["é"]),
        ("left\u200eto\u202bright\u2060\ufeff", ["lefttoright"]),  # direction marks, word joiner, byte order mark
        ("ពាក្យ\u200bខ្មែរ", ["ពា", "ក្យ", "ខ្មែ", "រ"]),  # zero-width space
        ("col·lecció 5·10", ["col·lecció", "5", "·", "10"]),
        ('צה"ל "שלום"', ['צה"ל', '"', "שלום", '"']),
        ("Tシャツ iPhone手机", ["t", "シャツ", "iphone", "手", "机"]),
        ("\u0301 a_\u0301", ["\u0301", "a", "_\u0301"]),  # a mark without a letter
        ("ΟΔΟΣ ΣΑΣ", ["οδος", "σας"]),
        ("90's o'clock 1,000.5", ["90's", "o'clock", "1", ",", "000", ".", "5"]),
        ("1\ufe0f\u20e3x", ["1\ufe0f\u20e3x"]),
    ],
)
def test_words_of_marks_and_invisible_characters(string, words):
    assert tokenize(string) == words


@pytest.mark.parametrize(
    ("string", "words"),
    [
        ("the <unk> of <UNK>, (<unk>)", ["the", UNK, "of", UNK, ",", "(", UNK, ")"]),
        ("no it was n't <eos>\n <s> black monday </s>\n", ["no", "it", "was", "n't", "black", "monday"]),
        ("a well @-@ known", ["a", "well", "-", "known"]),
        ("1 @,@ 000 @.@ 5 metres", ["1", ",", "000", ".", "5", "metres"]),
        ("<s>struck</s> me@home @-@-", "< s > struck < / s > me @ home @ - @ -".split()),
    ],
)
def test_words_of_a_tokenised_text(string, words):
    assert tokenize(string) == words
    assert tokenize(string, lowercase=False) == words


def test_joined_words_are_those_of_the_plain_text():
    assert tokenize("well @-@ known , 1 @,@ 000") == tokenize("well-known, 1,000")


def test_raw_bytes_sum_to_the_original_and_are_divided_among_the_words_of_a_segment():
    document = read_document(" Né… <eos>  don't\u00ad\r\nstop \n")
    assert list(document) == ["né", "…", "don't", "stop"]
    assert document.raw_bytes.tolist() == [4, 3, 15, 8]
    assert document.raw_bytes.sum() == len(" Né… <eos>  don't\u00ad\r\nstop \n".encode())


def test_raw_bytes_of_a_cut_text_are_those_of_its_words():
    documents = [read_document("one two  three. " * 300), read_document("é " * 500)]
    corpus = build_corpus("x", {"train": [["one"]], "validation": [["one"]], "test": documents})
    assert corpus.test.raw_bytes.sum() == 16 * 300 + 3 * 500
    cut = corpus.limited(validation=None, test=850).test
    assert np.diff(cut.starts).tolist() == [600, 250]
    assert cut.raw_bytes.sum() == 16 * 150 - 1 + 3 * 250 - 1  # the space at a cut goes with the word after it
    shorter = build_corpus("x", {"train": [["one", "two"] * 9], "validation": [["one"]], "test": documents})
    assert shorter.trained_on(5).test.raw_bytes.tolist() == corpus.test.raw_bytes.tolist()
    assert build_corpus("x", {split: [["one"]] for split in ("train", "validation", "test")}).test.raw_bytes is None


def test_raw_bytes_of_a_cut_text_without_spaces_are_those_of_its_words():
    documents = [read_document("\u3000" + "天地玄黃" * 100 + "。"), read_document("ไทย" * 200)]
    corpus = build_corpus("x", {"train": [["one"]], "validation": [["one"]], "test": documents})
    cut = corpus.limited(validation=None, test=500).test
    assert cut.raw_bytes.sum() == 3 * len(cut) + 3  # and the space


def test_raw_bytes_of_a_segment_are_divided_evenly_where_they_are_no_multiple_of_its_words():
    document = read_document("天" * 1500 + "a")
    assert document.raw_bytes.sum() == 4501 and {*document.raw_bytes[:-1].tolist()} == {2, 3}
    assert document.raw_bytes[:500].sum() == 1499 and document.raw_bytes[:1000].sum() == 2998


@pytest.mark.parametrize("known", [True, False])
def test_bits_per_raw_byte_divide_by_the_original(known):
    words = "one two two , é".split() * 20
    test = [read_document("one two two,  é\n" * 20) if known else words]
    corpus = build_corpus("x", {"train": [words * 2, ["rare"]], "validation": [words], "test": test})
    vocabulary = Vocabulary(corpus, 4)
    nats = np.linspace(1, 2, len(corpus.test)).astype(np.float32)
    ranks = np.ones(len(nats))
    scored = ScoredText(
        document=np.zeros(len(nats), np.int32),
        word=vocabulary.encode(corpus.test.words),
        rank=ranks,
        calibrated_rank=ranks,
        nats=nats,
        raw_nats=nats,
    )
    figures = quality(scored, vocabulary, corpus.test, search_words=10)
    assert figures["test_raw_bytes"] == (20 * 17 if known else None)
    expected = pytest.approx(nats.sum() / np.log(2) / (20 * 17), rel=1e-6) if known else None
    assert figures["bits_per_raw_byte"] == expected
    assert figures["bits_per_byte"] == pytest.approx(nats.sum() / np.log(2) / figures["test_bytes"], rel=1e-6)


def tokenised_corpus():
    """Half of the training words are `<unk>`, its most frequent type."""
    train = ["a", UNK, "b", UNK, "a", UNK, "c", UNK]
    return build_corpus("ptb", {"train": [train * 50], "validation": [[UNK, "a", "z"]], "test": [["b", UNK, "y"]]})


def test_unknown_word_of_the_text_is_the_last_of_the_lexicon():
    assert tokenised_corpus().lexicon == ["a", "c", "b", "z", "y", UNK]


@pytest.mark.parametrize(("size", "words"), [(4, [UNK, "a", "c", "b"]), (3, [UNK, "a", "c"]), (2, [UNK, "a"])])
def test_unknown_word_of_the_text_has_the_id_and_the_counts_of_unk(size, words):
    vocabulary = Vocabulary(tokenised_corpus(), size)
    assert vocabulary.words == words
    assert vocabulary.counts.sum() == 400
    assert vocabulary.counts[vocabulary.unk] == 200 + 50 * (4 - size)
    assert vocabulary.encode(vocabulary.corpus.test.words)[1] == vocabulary.unk


def test_unknown_word_of_the_text_costs_no_spelling():
    whole, small = (Speller(Vocabulary(tokenised_corpus(), size)) for size in (4, 2))
    assert whole.nats(UNK) == pytest.approx(0, abs=0.01)
    assert small.nats(UNK) == pytest.approx(-np.log(200 / 300), abs=0.01)  # b and c are hidden too
    assert np.exp(-small.nats(UNK)) + np.exp(-small.nats("b")) + np.exp(-small.nats("c")) == pytest.approx(1, abs=0.02)
    assert whole.nats("zebra") > 10
