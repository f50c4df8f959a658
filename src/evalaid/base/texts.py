"""Small pieces of text that every table and message is put together from."""

from __future__ import annotations

from collections.abc import Iterable


def join_texts(texts: Iterable[str]) -> str:
    """Join what is not empty by semicolons, each text once.

    Examples
    --------
    >>> join_texts(("few clusters", "", "no error", "few clusters"))
    'few clusters; no error'
    """
    return "; ".join(dict.fromkeys(text for text in texts if text))


def one_line(text: object) -> str:
    r"""Put a text, or the message of an error, on one line.

    Examples
    --------
    >>> one_line("no cluster\n    is treated")
    'no cluster is treated'
    """
    return " ".join(str(text).split())


def noun(count: int, one: str, several: str = "") -> str:
    """Return the singular for one thing, the plural for none or several.

    Examples
    --------
    >>> noun(1, "event time"), noun(2, "event time"), noun(2, "is", "are")
    ('event time', 'event times', 'are')
    """
    return one if count == 1 else several or f"{one}s"


def counted(count: int, one: str, several: str = "") -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "unit"), counted(1200, "unit has", "units have")
    ('1 unit', '1,200 units have')
    """
    return f"{count:,} {noun(count, one, several)}"
