"""Numbers as people write them: a decimal comma, thousands apart, a currency, a percent sign, a unit.

A column is read as such numbers only where all of its cells agree: on the decimal sign, and on what stands around the
number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skedastic.data.settings import Decimal

Written = Literal["plain", "point", "comma"]
CURRENCY = "$€£¥₹₽₩₪฿₺₴₦₱₫₡₲₵₸₿¢₼₾₮₭"
CODES = (
    "USD|EUR|GBP|JPY|CHF|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|BRL|MXN|ARS|CLP|COP|ZAR|KRW|SGD|HKD|"
    "TWD|TRY|RUB|UAH|ILS|AED|SAR|THB|IDR|MYR|PHP|VND"
)
PREFIX = rf"(?:[A-Z]{{1,2}})?[{CURRENCY}]|{CODES}|Rs\.?|Fr\.?|kr\.?"
SYMBOLS = rf"[{CURRENCY}%‰]|°[CFK]?"
UNITS = (
    "kg|mg|µg|μg|lbs?|oz|km|cm|mm|µm|μm|nm|mi|ft|ml|cl|dl|ms|min|hrs?|kW|MW|GW|kWh|MWh|Hz|kHz|MHz|GHz|[kKMGT]B|hPa|kPa|"
    "MPa|bar|psi|mph|kmh|km/h|m/s|m²|m2|km²|m³|m3|px|dB|ppm|bn|Mio|Mrd|pcs|pct|USD|EUR|GBP|CHF"
)
WORD = r"(?!(?:[ap]\.?m\.?|uhr|st|nd|rd|th)\b)[^\W\d_]{2,}[.²³]?(?:[ /][^\W\d_]{1,12}\.?)?"
LETTER = r"[a-zA-ZµΩ]"
SUFFIX = rf"{SYMBOLS}|(?:{UNITS})(?![^\W\d_])|(?<= )(?i:{WORD})|(?<= ){LETTER}"  # a letter or a word stands apart
CURRENCIES = re.compile(rf"[{CURRENCY}]|{CODES}")
ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}")  # of the internet
AROUND = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[+-]?)\s*(?P<prefix>{PREFIX})?\s*(?P<second>[+-]?)\s*"
    rf"(?P<number>[0-9.,][0-9.,' ]*?(?:[eE][+-]?[0-9]{{1,3}})?)\s*(?P<suffix>{SUFFIX})?\s*(?P<close>\))?"
)
ALIKE = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-", "\u2019": "'", "\u02bc": "'"})
SIGNS = {"point": (".", ","), "comma": (",", ".")}  # decimal, and what may stand between thousands
THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+")
PROGRAMS = re.compile(r"[+-]?[0-9]*\.?[0-9]*")  # a number as programs write it
SAMPLE = 1000  # cells of which the longest is shown


@dataclass(frozen=True)
class Hint:
    """What is known of a table's numbers before its cells are read.

    Parameters
    ----------
    decimal : Decimal
        The decimal sign, where the user says it.
    comma_likely : bool
        Whether "1,234" is rather 1.234 than 1234, as in a file whose separator is ";".
    typed : bool
        Whether some cells are 1.5 by their type, among text: then no comma is a decimal sign.
    """

    decimal: Decimal = "auto"
    comma_likely: bool = False
    typed: bool = False

    @property
    def sign(self) -> Decimal:
        """The decimal sign, where it is known."""
        return "point" if self.typed else self.decimal


@dataclass(frozen=True)
class Dress:
    """How the numbers of a column are written.

    Parameters
    ----------
    decimal : Written
        The decimal sign; of point and comma the other one, a space or an apostrophe may stand between thousands. Plain
        numbers are those that programs write.
    prefix, suffix : str
        What stands before and after the number, such as a currency and a unit; a cell may lack a currency.
    """

    decimal: Written = "plain"
    prefix: str = ""
    suffix: str = ""

    @cached_property
    def _number(self) -> re.Pattern[str]:
        point, other = (re.escape(sign) for sign in SIGNS[self.decimal])
        threes = rf"[1-9][0-9]{{0,2}}(?P<apart>[{other} '])[0-9]{{3}}(?:(?P=apart)[0-9]{{3}})*"
        lakhs = r"|[1-9][0-9]?(?:,[0-9]{2})*,[0-9]{3}" if self.decimal == "point" else ""
        power = r"(?:[eE][+-]?[0-9]{1,3})?"  # of ten, as spreadsheets write it
        return re.compile(rf"(?:(?:{threes}{lakhs}|[0-9]+)(?:{point}[0-9]*)?|{point}[0-9]+){power}")

    def plain(self, text: str) -> str | None:
        """Return the number that a text writes so as programs write it; None where it is written otherwise."""
        parts = _parts(text)
        if parts is None or not self._around(parts) or not self._number.fullmatch(parts["number"]):
            return None
        if "+" in (parts["sign"], parts["second"]) and " " in parts["number"]:
            return None  # of a telephone
        plain = parts["number"].translate(self._as_programs)
        return f"-{plain}" if "-" in (parts["sign"], parts["second"]) or parts["open"] else plain

    @cached_property
    def _as_programs(self) -> dict[int, str]:
        """What each character of a number becomes: nothing between thousands, and a point for the decimal sign."""
        decimal, apart = SIGNS[self.decimal]
        return str.maketrans({apart: "", " ": "", "'": "", decimal: "."})

    def number(self, text: str) -> float | None:
        """Return the number that a text writes so; None where it is written otherwise."""
        plain = self.plain(text)
        return None if plain is None else float(plain)

    def numbers(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the numbers of texts [n], NaN where one is written otherwise."""
        return np.array([self.number(text) for text in texts], dtype=np.float64)

    def fits(self, texts: Iterable[str]) -> bool:
        """Tell whether all texts write numbers so."""
        return all(self.plain(text) is not None for text in texts)

    def _around(self, parts: re.Match[str]) -> bool:
        if bool(parts["open"]) != bool(parts["close"]) or (parts["sign"] and (parts["second"] or parts["open"])):
            return False
        suffix = parts["suffix"] or (self.suffix if CURRENCIES.fullmatch(self.suffix) else "")
        return (parts["prefix"] or self.prefix) == self.prefix and suffix == self.suffix


PLAIN, NO_HINT = Dress(), Hint()


def find_dress(texts: Sequence[str], hint: Hint = NO_HINT) -> tuple[Dress, ...]:
    """Return the ways in which all of the texts write numbers, the likeliest first; none where they don't agree.

    Parameters
    ----------
    texts : sequence of str
        Distinct cells that are not missing.
    hint : Hint, optional
        What is known of the table's numbers.
    """
    if all(map(ADDRESS.fullmatch, texts)):
        return ()
    fitting = list[Dress]()
    for some in (texts[:SAMPLE], texts):  # what stands around numbers may be seen late
        around = _agreed(some)
        if around is None:
            return ()
        fitting = [dress for dress in _styles(*around, hint.sign) if dress.fits(texts)]
        if fitting or len(some) == len(texts):
            break
    if hint.comma_likely:
        fitting.sort(key=lambda dress: dress.decimal != "comma")
    return tuple(fitting)


def are_thousands(texts: Sequence[str]) -> bool:
    """Tell whether texts that look plain write thousands, as in a table whose decimal sign is the comma: "1.234"."""
    pointed = [text for text in texts if "." in text]
    return bool(pointed) and all(map(THOUSANDS.fullmatch, pointed)) and are_whole(set(texts).difference(pointed))


def are_whole(texts: Iterable[str]) -> bool:
    """Tell whether texts are plain whole numbers, which are written alike with each decimal sign."""
    return all(text.lstrip("+-").isdecimal() for text in texts)


def told(column: str, texts: Sequence[str], dress: Dress, hint: Hint = NO_HINT) -> str:
    """Return how the numbers of a column were read, in words: 'price: numbers, "1.012,50 €" read as 1012.5'.

    Parameters
    ----------
    column : str
        The name of the column.
    texts : sequence of str
        Its distinct cells that are not missing.
    dress : Dress
        How they were read.
    hint : Hint, optional
        As it was when they were read.
    """
    shown = [text for text in texts[:SAMPLE] if not PROGRAMS.fullmatch(text)] or texts[:SAMPLE]
    example = max(shown, key=len)
    note = f'{column}: numbers, "{example}" read as {_shortest(dress.number(example))}'
    for other in _styles(dress.prefix, dress.suffix, hint.sign):
        if other.number(example) != dress.number(example) and other.fits(texts):
            note += f"; --decimal {other.decimal} reads {_shortest(other.number(example))}"
    return note


def _parts(text: str) -> re.Match[str] | None:
    """Return what a text has before, in and after a number; None where it has none."""
    return AROUND.fullmatch(text if text.isascii() else text.translate(ALIKE))


def _shortest(number: float | None) -> str:
    return "no number" if number is None else f"{number:.15g}"


def _styles(prefix: str, suffix: str, decimal: Decimal) -> Iterator[Dress]:
    signs: tuple[Written, ...] = ("point", "comma") if decimal == "auto" else (decimal,)
    for sign in signs:
        yield Dress(sign, prefix, suffix)


def _agreed(texts: Iterable[str]) -> tuple[str, str] | None:
    """Return what stands before and after the numbers of all texts; None where one has no number or they differ."""
    prefix = suffix = ""
    found = False
    for text in texts:
        parts = _parts(text)
        if parts is None:
            return None
        before, after = parts["prefix"] or prefix, parts["suffix"] or suffix
        if before != (prefix or before) or after != (suffix or after):
            return None
        prefix, suffix, found = before, after, True
    return (prefix, suffix) if found else None
