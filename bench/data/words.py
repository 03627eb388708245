"""Tokenisation: a document as its owner wrote it -> the words that every system reads.

A word is a run of letters and digits, or a single other character. Text is normalised to NFC and lowercased (by
default), so canonically equivalent spellings give equal words. Inside a word the rules of UAX #29 hold:

- combining marks and the zero-width joiner and non-joiner belong to the letter before;
- apostrophes join letters ("don't"), as do the middle dot of Catalan and the gershayim of Hebrew;
- invisible format characters (soft hyphen, direction marks, word joiner) are removed; a zero-width space separates;
- a run of Katakana is one word; so is an emoji with its modifiers and joiners.

Unlike UAX #29, full stops, commas, colons and underscores inside words and numbers are words of their own: "3.5" is
three words. Scripts that write no spaces (Chinese, Japanese Hiragana and Kanji, Thai, Lao, Khmer, Burmese) give one
word per character with its marks, since only a dictionary could group these characters.

Markup of texts that are tokenised already is read as such: `<unk>` is the unknown word, `<s>`, `</s>` and `<eos>`
between spaces are dropped, and WikiText's `@-@`, `@,@`, `@.@` are the signs inside.
N words of a document, S segments that hold words.
"""

import re
import unicodedata

import numpy as np
import regex

UNK = "<unk>"

EXTENDS = r"[\p{WB=Extend}\p{WB=ZWJ}]"  # combining marks, ZWJ, ZWNJ, skin tones: part of the character before

LETTER = (
    r"[[\p{L}\p{N}\p{WB=ALetter}]"
    r"--[\p{WB=Katakana}]--[\p{Ideographic}]--[\p{L}&&\p{WB=Other}]]"  # the last: letters of scripts without spaces
)

RUN = rf"{LETTER}[{LETTER}{EXTENDS}]*+"

JOINER = r"""(?:['’]|(?<=[\p{L}\p{M}])[·‧״](?=\p{L})|(?<=\p{Hebrew})"(?=\p{Hebrew}))"""

KATAKANA = rf"\p{{WB=Katakana}}[\p{{WB=Katakana}}{EXTENDS}]*+"

MOST_JOINERS = 1000  # per word; without a bound, a line of millions of apostrophes exhausts the memory of `regex`

WORD = regex.compile(rf"{UNK}|{RUN}(?:{JOINER}{RUN}){{0,{MOST_JOINERS}}}+|{KATAKANA}|\X", regex.V1)

FORMAT = regex.compile(r"\p{WB=Format}", regex.V1)

UNK_IN_ANY_CASE = re.compile(re.escape(UNK), re.IGNORECASE)

SEGMENT = re.compile(r"[^\s\u200b]+")  # characters between two spaces

MARKUP = {"<s>": "", "</s>": "", "<eos>": "", "@-@": "-", "@,@": ",", "@.@": "."}


class Document(list[str]):
    """The words of a document whose original text is known.

    Attributes:
        raw_bytes: UTF-8 bytes of the original per word, white space before the word included. The bytes of a segment
            of several words are divided among these (`divided`), and those of a segment without words count at the next
            word. [N] int64
    """

    def __init__(self, words: list[str], raw_bytes: np.ndarray):
        super().__init__(words)
        self.raw_bytes = raw_bytes


def tokenize(text: str, lowercase: bool = True) -> list[str]:
    """Return the words of a text."""
    return list(read_document(text, lowercase))


def read_document(text: str, lowercase: bool = True) -> Document:
    """Return the words of a text and the bytes of each; the bytes sum to those of the whole text."""
    known: dict[str, list[str]] = {}
    words: list[str] = []
    counts: list[int] = []  # words of each segment that holds any
    before, own = [], []  # UTF-8 bytes before each of these segments, and of the segment itself
    done = 0
    for match in SEGMENT.finditer(text):
        segment = match.group()
        if (inside := known.get(segment)) is None:
            inside = known[segment] = words_of_segment(segment, lowercase)
        if inside:
            words += inside
            counts.append(len(inside))
            before.append(utf8_length(text[done : match.start()]))
            own.append(utf8_length(segment))
            done = match.end()
    if not words:
        return Document([], np.zeros(0, np.int64))
    raw_bytes = divided(np.array(before), np.array(own), np.array(counts))
    raw_bytes[-1] += utf8_length(text[done:])
    return Document(words, raw_bytes)


def utf8_length(text: str) -> int:
    """Return the number of UTF-8 bytes of a text."""
    return len(text.encode("utf-8", "surrogatepass"))


def divided(before: np.ndarray, own: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the bytes of each word, given those of the segments that hold words. [S], [S], [S] -> [N]

    Scripts without spaces have long segments. If all bytes counted at one word, a text that is cut within a segment
    would have too few or too many.

    Args:
        before: bytes before the segment; they count at its first word.
        own: bytes of the segment; its first k of n words have k / n of these, rounded down.
        counts: words of the segment, at least 1.
    """
    first = np.cumsum(counts) - counts
    k = np.arange(counts.sum()) - np.repeat(first, counts) + 1
    reached = np.repeat(own, counts) * k // np.repeat(counts, counts)  # bytes of the segment up to the k-th word
    raw_bytes = np.diff(reached, prepend=0)
    raw_bytes[first] = reached[first] + before
    return raw_bytes


def words_of_segment(segment: str, lowercase: bool) -> list[str]:
    """Return the words of a text without white space."""
    text = MARKUP.get(segment, segment)
    if not text.isascii():
        text = unicodedata.normalize("NFC", FORMAT.sub("", text))
    if lowercase:
        text = text.lower()
        text = text if text.isascii() else unicodedata.normalize("NFC", text)
    elif "<" in text:
        text = UNK_IN_ANY_CASE.sub(UNK, text)
    return WORD.findall(text)
