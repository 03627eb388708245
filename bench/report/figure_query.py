"""Query by which a text names one of its figures.

    [interval of | p of | best | growth of | interval of growth of]
    FIGURE [of SETTINGS] [minus SETTINGS | over SETTINGS] [where SETTINGS]

SETTINGS are `key=value`, as on the command line; those after `where` hold on both sides. FIGURE is a column of a
table, a number of a record by its dotted path (`diagnosis.lost_to_fit`), or such a number times a factor
(`100*diagnosis.lost_to_fit`). Records that differ in the seed alone are averaged. Settings with `contender=` select a
row of a cost ledger. `best` is the name of the best trained system and of those that do not differ significantly.
`growth` is the law over the number of training words (bench/report/data_law.py): α, or with `minus` bits per tenfold.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from bench.core.errors import SettingError

GRAMMAR = re.compile(
    r"(?:(?P<form>interval of growth of|interval of|p of|best|growth of) )?"
    r"(?:(?P<factor>\d+(?:\.\d+)?) ?\* ?)?(?P<figure>[\w.-]+)"
    r"(?: of (?P<first>.+?))?(?: (?P<operator>minus|over) (?P<second>.+?))?(?: where (?P<shared>.+))?"
)


@dataclass(frozen=True)
class Query:
    """A parsed query; the settings after `where` are in `first` and `second`."""

    form: str  # value | interval | p | best | growth | interval of growth
    factor: float
    figure: str
    first: Mapping[str, str]
    second: Mapping[str, str]
    operator: str = ""  # minus | over; empty without a second side


def parse(text: str, row: Mapping[str, str] | None = None) -> Query:
    """Parse a query.

    Args:
        row: settings of a table's row. They are the first side of a query without `of`, and fill `{key}` of others.

    Raises:
        SettingError: the text is no query.
    """
    for key, value in (row or {}).items():
        text = text.replace(f"{{{key}}}", value)
    found = GRAMMAR.fullmatch(" ".join(text.split()))
    if found is None:
        raise SettingError(text, "is not a query; write FIGURE of key=value …, as docs/metrics.md shows")
    shared = settings(found["shared"])
    first = settings(found["first"]) if found["first"] else dict(row or {})
    return Query(
        form=(found["form"] or "value").removesuffix(" of"),
        factor=float(found["factor"] or 1),
        figure=found["figure"],
        first=first | shared,
        second=settings(found["second"]) | shared,
        operator=found["operator"] or "",
    )


def settings(text: str | None) -> dict[str, str]:
    """Return {"system": "cosine"} of `system=cosine`; a value with spaces is in single quotes.

    Raises:
        SettingError: a part is no `key=value`.
    """
    try:
        parts = shlex.split(text or "")
    except ValueError as error:
        raise SettingError(str(text), f"cannot be read ({error}); put a value with spaces in single quotes") from None
    if wrong := [part for part in parts if not re.match(r"[\w./-]+=.", part)]:
        raise SettingError(wrong[0], "is not a setting; write key=value")
    return {key: value for key, _, value in (part.partition("=") for part in parts)}
