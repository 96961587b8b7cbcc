"""The little languages of `--noise` and `--imbalance`, read against the class names, which may hold any character.

A class may be named by its position in class order, too: #0 is the first. A class of that very name comes before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skedastic.errors import UserError, unknown

NOISE_FORMS = "a<->b:p, a<->b<->c:p, a->b:p (several joined by commas), uniform:p or pairs:p"
IMBALANCE_FORMS = "step:RATIO, step:RATIO:a,b,c or longtail:RATIO"


def parse_noise(spec: str, classes: Sequence[str]) -> NDArray[np.float64]:
    """Return the transition matrix [C, C]: entry [a, b] is the probability that an example of class a is labelled b.

    `a<->b:p` exchanges two classes with probability p, and `a->b:p` flips one way. `a<->b<->c:p` flips each of several
    classes to one of the others, drawn uniformly (Cao et al. 2021, section 3.1). `uniform:p` flips to another class
    drawn uniformly, and `pairs:p` to the next class in order, the last to the first (Han et al. 2018). Rules act on the
    clean label, once, so a class may flip by one rule only.

    Parameters
    ----------
    spec : str
        The rules. p is in [0, 1]; a and b are names, or positions such as #3.
    classes : sequence of str
        The names of the C classes.

    Raises
    ------
    UserError
        The specification can't be read, or names a class wrongly.
    """
    whole = re.fullmatch(r"\s*(uniform|pairs)\s*:\s*([^:,]*)", spec)
    if whole:
        return _for_all(whole[1], _probability(whole[2], spec), len(classes))
    transition = np.eye(len(classes))
    flipped: set[int] = set()
    for members, arrow, p in _rules(spec, classes):
        for clean in members if arrow == "<->" else members[:1]:
            if clean in flipped:
                raise _refused("noise", spec, f"class {classes[clean]!r} flips by two rules; give each class one")
            flipped.add(clean)
            transition[clean, members] = p / (len(members) - 1)
            transition[clean, clean] = 1 - p
    return transition


@dataclass(frozen=True, eq=False)
class Imbalance:
    """The number of examples that each class keeps.

    Parameters
    ----------
    ratio : float
        The imbalance, at least 1.
    share : ndarray
        The share that each class keeps, [C], in (0, 1].
    of_largest : bool
        Whether it is the share of the largest class's count, or of the class's own count.
    """

    ratio: float
    share: NDArray[np.float64]
    of_largest: bool

    def kept(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of examples that each class keeps, [C]: rounded down, at least 1, at most all of them.

        Parameters
        ----------
        counts : ndarray
            The number of examples of each class, [C] int64.
        """
        base = counts.max() if self.of_largest else counts
        whole = np.floor(base * self.share + 1e-9).astype(np.int64)  # 300 * (1 / 3) is 99.99… or 100
        return np.minimum(np.maximum(whole, 1), counts)


def parse_imbalance(spec: str, classes: Sequence[str]) -> Imbalance:
    """Return the imbalance that `step:RATIO[:a,b,c]` or `longtail:RATIO` describes, RATIO ≥ 1.

    A step cuts the named classes to count / RATIO, by default the second half in class order. A long tail leaves class
    i of C with n_max * RATIO^(-i / (C - 1)) examples (both: Cao et al. 2019).

    Parameters
    ----------
    spec : str
        The specification.
    classes : sequence of str
        The names of the C classes.

    Raises
    ------
    UserError
        The specification can't be read.
    """
    parts = re.fullmatch(r"\s*(step|longtail)\s*:\s*([^:]*?)\s*(?::(.*))?", spec, re.DOTALL)
    if parts is None or (parts[1] == "longtail" and parts[3] is not None):
        raise _refused("imbalance", spec, f"is not understood; write {IMBALANCE_FORMS}")
    ratio, n = _ratio(parts[2], spec), len(classes)
    if parts[1] == "longtail":
        return Imbalance(ratio, ratio ** (-np.arange(n) / (n - 1)), of_largest=True)
    rare = range(n // 2, n) if parts[3] is None else _listed(parts[3], spec, classes)
    share = np.ones(n)
    share[list(rare)] = 1 / ratio
    return Imbalance(ratio, share, of_largest=False)


def _for_all(kind: str, p: float, n: int) -> NDArray[np.float64]:
    stays = np.eye(n)
    others = (1 - stays) / (n - 1) if kind == "uniform" else np.roll(stays, 1, axis=1)
    return (1 - p) * stays + p * others


def _rules(spec: str, classes: Sequence[str]) -> list[tuple[list[int], str, float]]:
    """Return the rules as (classes, arrow, probability)."""
    name = _any_of(classes)
    several = rf"(?:{name})(?:\s*<->\s*(?:{name}))*"
    rule = re.compile(
        rf"\s*(?:({name})\s*->\s*({name})|({name})\s*<->\s*({several}))\s*:\s*([^,:]*?)\s*(?:,|$)", re.DOTALL
    )
    member = re.compile(rf"({name})\s*(?:<->\s*|$)", re.DOTALL)
    rules: list[tuple[list[int], str, float]] = []
    position = 0
    while position < len(spec) or not rules:
        match = rule.match(spec, position)
        if match is None:
            raise _explained(spec, spec[position:], classes)
        names = [match[1], match[2]] if match[1] is not None else [match[3], *member.findall(match[4])]
        members = [_place(name, "noise", spec, classes) for name in names]
        if len(set(members)) < len(members):
            twice = next(c for c in members if members.count(c) > 1)
            raise _refused("noise", spec, f"class {classes[twice]!r} can't be flipped to itself; name each class once")
        rules.append((members, "->" if match[1] is not None else "<->", _probability(match[5], spec)))
        position = match.end()
    return rules


def _explained(spec: str, rest: str, classes: Sequence[str]) -> UserError:
    """Say why a rule can't be read: an unknown class, if it has the form of a rule, else the form."""
    match = re.match(r"\s*(.*?)\s*(?:<->|->)\s*([^,]*?)\s*:", rest)
    for name in [match[1], *re.split(r"\s*<->\s*", match[2])] if match else ():
        if name not in classes and not re.fullmatch(r"#\d+", name):
            return _refused("noise", spec, str(unknown("class", name, classes)))
    kind = re.match(r"\s*(\w+)\s*:", rest)
    if kind and kind[1] in ("uniform", "pairs"):
        return _refused("noise", spec, f"{kind[1]} flips every class and stands alone; give each class one rule")
    return _refused("noise", spec, f"is not understood at {rest.strip()[:40]!r}; write {NOISE_FORMS}")


def _listed(text: str, spec: str, classes: Sequence[str]) -> list[int]:
    entry = re.compile(rf"\s*({_any_of(classes)})\s*(?:,|$)", re.DOTALL)
    ids: list[int] = []
    position = 0
    while position < len(text) or not ids:
        match = entry.match(text, position)
        if match is None:
            wrong = text[position:].split(",")[0].strip()
            raise _refused("imbalance", spec, str(unknown("class", wrong, classes)))
        ids.append(_place(match[1], "imbalance", spec, classes))
        position = match.end()
    if len(set(ids)) < len(ids):
        raise _refused("imbalance", spec, "a class is named twice; name each once")
    return ids


def _any_of(classes: Sequence[str]) -> str:
    names = [re.escape(name) for name in sorted(classes, key=len, reverse=True)]
    return "|".join([*names, r"#\d+"])


def _place(name: str, setting: str, spec: str, classes: Sequence[str]) -> int:
    """Return the position of the class of that name, or at that position."""
    if name in classes:
        return classes.index(name)
    place = int(name[1:])
    if place >= len(classes):
        rule = f"there is no class {name}; of {len(classes)} classes, the last is #{len(classes) - 1}"
        raise _refused(setting, spec, rule)
    return place


def _probability(text: str, spec: str) -> float:
    value = _number(text)
    if value is None or not 0 <= value <= 1:
        raise _refused("noise", spec, f"{text.strip()!r} is no probability; it must be in [0, 1], such as 0.4")
    return value


def _ratio(text: str, spec: str) -> float:
    value = _number(text)
    if value is None or not 1 <= value < float("inf"):
        rule = f"{text.strip()!r} is no ratio; it must be at least 1, such as 10 to keep a tenth"
        raise _refused("imbalance", spec, rule)
    return value


def _refused(setting: str, spec: str, rule: str) -> UserError:
    """Return the error about a specification of noise or imbalance."""
    return UserError(rule, setting=setting, value=spec, given=f"--{setting} {spec!r}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
