"""How ways of training that were tried on halves of the rows compare, each with the shares of the classes made up for.

Each way predicts thrice: as it is, and with the shares of the classes half and wholly made up for (Menon et al.,
"Long-tail Learning via Logit Adjustment", ICLR 2021), which costs no training. All are held against one candidate, the
base, by a criterion (`skedastic.core.criteria`), example by example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from skedastic.core.choice import Gain, gives_up_more, made_up_for
from skedastic.core.criteria import Criterion, Held
from skedastic.methods.bases.held_out import every_row, held_out, held_out_half, was_begun, was_tried
from skedastic.methods.bases.task import Task

# standard errors
SURE, SURER = 1.0, 2.0  # by which a way must be better, and one that goes by what the labels told before
AHEAD = 0.5  # by which a way must be better on the first half, to be tried on the second
BEHIND = 1.0  # by which it may be worse there than the best


class Candidate(NamedTuple):
    """A way of training, and how much it makes up for the shares of the classes."""

    way: str
    tau: float

    @property
    def name(self) -> str:
        """The name of its stage."""
        return self.way + {0.0: "", 0.5: ", half balanced", 1.0: ", balanced"}[self.tau]


class Comparison(NamedTuple):
    """How much better a candidate is than another, and whether it gives up a class of its."""

    gain: Gain
    gives_up: bool
    accuracy: float  # gained over all rows

    @property
    def errors(self) -> float:
        """The gain in standard errors."""
        return self.gain.mean / self.gain.error if self.gain.error else math.copysign(math.inf, self.gain.mean or -1)


@dataclass(frozen=True)
class Standing:
    """The comparison of ways so far.

    Parameters
    ----------
    task : Task
        The task that the last stage handed on.
    criterion : Criterion
        What they are compared by.
    base : Candidate
        What all are held against.
    candidates : tuple of Candidate
        All of every way, in order.
    share : callable
        From a candidate to the shares of the classes that it predicts, [C].
    """

    task: Task
    criterion: Criterion
    base: Candidate
    candidates: tuple[Candidate, ...]
    share: Callable[[Candidate], Tensor]

    @property
    def against(self) -> Candidate:
        """The base, or the first way that was tried if training ends before the base is."""
        if was_tried(self.base.way, self.task):
            return self.base
        tried = (c.way for c in self.candidates if was_tried(c.way, self.task))
        return self.base._replace(way=next(tried, self.base.way))

    def compared(self, way: str, against: Candidate, *, half: bool = False) -> dict[Candidate, Comparison]:
        """Return how each candidate of a way compares with another, on all rows or on those of the second half."""
        task = self.task
        if not all(was_begun(w, task) if half else was_tried(w, task) for w in (way, against.way)):
            return {}
        found = {}
        rows, others = self.scores(against, half=half)
        held = self.held(rows)
        for candidate in self.candidates:
            if candidate.way == way and candidate != against:
                own = self.scores(candidate, half=half)[1]
                gives_up = self.gives_up(own.argmax(1), against, half=half)
                right, known = (float((s.argmax(1) == held.y).double().mean()) for s in (own, others))
                found[candidate] = Comparison(self.criterion.gain(own, others, held), gives_up, right - known)
        return found

    def gives_up(self, predicted: Tensor, against: Candidate, *, half: bool = False) -> bool:
        """Return whether predicted classes give classes up, held against a candidate.

        Half of what half balancing leaves of a frequent class may be a third of its labels. So they are held against
        the candidate as it is, too, where it gives up no class by that itself.

        Parameters
        ----------
        predicted : Tensor
            Of all rows, [n] int64, or of those of the second half.
        against : Candidate
            One of a way that was tried.
        half : bool, optional
            Whether rows are those of the second half.
        """
        unbalanced = against if against.tau == 1 else against._replace(tau=0.0)  # with 1 shares are as asked for
        rows, base = self.scores(against, half=half)
        own, y = base.argmax(1), self.task.y[rows]
        more = gives_up_more(predicted, own, y)
        if more or unbalanced == against:
            return more
        as_it_is = self.scores(unbalanced, half=half)[1].argmax(1)
        return gives_up_more(predicted, as_it_is, y) and not gives_up_more(own, as_it_is, y)

    def scores(self, candidate: Candidate, *, half: bool = False) -> tuple[Tensor, Tensor]:
        """Return rows [m], and their logits by a candidate's models that have not seen them, [m, C]."""
        way, task = candidate.way, self.task
        rows, p = held_out_half(way, task) if half else (every_row(task), held_out(way, task))
        return rows, self.made_up_for(candidate, p)

    def made_up_for(self, candidate: Candidate, p: Tensor) -> Tensor:
        """Return the logits of probabilities of a candidate's way, [m, C], with the shares made up for as it does."""
        share = self.share(candidate)
        return made_up_for(p, share, candidate.tau, self.criterion.target(share, self.task.classes))

    def held(self, rows: Tensor) -> Held:
        """Return the examples of rows [m] that predictions are held against."""
        unit = None if self.task.unit is None else self.task.unit[rows]
        return Held(self.task.y[rows], self.task.group[rows], self.task.classes, unit)

    def value(self, candidate: Candidate) -> float:
        """Return the criterion of a candidate on all rows."""
        return self.criterion.score(self.scores(candidate)[1], self.held(every_row(self.task))).value

    def errors(self, way: str, against: Candidate | None = None) -> float:
        """Return by how many standard errors the best of a way beats another on the first half, or the base."""
        found = self.compared(way, against or self.base, half=True)
        return max((c.errors for c in found.values()), default=-math.inf)

    def is_ahead(self, way: str) -> bool:
        """Return whether a way is better than the base on the first half, by half a standard error, and not outdone.

        It is outdone if all of its candidates are worse by a standard error than the best of all.
        """
        own = self._ahead(way)
        if not own:
            return False
        ways = dict.fromkeys(candidate.way for candidate in self.candidates)
        ahead = {c: gain for other in ways for c, gain in self._ahead(other).items()}
        best = max(ahead, key=ahead.__getitem__)
        to_best = {} if best in own else self.compared(way, best, half=True)
        return best in own or any(to_best[c].errors > -BEHIND for c in own)

    def _ahead(self, way: str) -> dict[Candidate, float]:
        """Return the gains over the base, on the first half, of the candidates of a way that are ahead of it."""
        tried = self.compared(way, self.base, half=True).items()
        return {c: f.gain.mean for c, f in tried if f.errors > AHEAD and not f.gives_up}

    def best(self, doubted: Container[str] = ()) -> Candidate:
        """Return the candidate that is best, if it is safely better, and gives no class up; else what it is held to.

        Parameters
        ----------
        doubted : container of str
            Ways that must be better by two standard errors, not one.
        """
        other, better = self.against, dict[Candidate, float]()
        for way in dict.fromkeys(candidate.way for candidate in self.candidates):
            least = SURER if way in doubted else SURE
            found = self.compared(way, other).items()
            better |= {c: f.gain.mean for c, f in found if f.errors > least and not f.gives_up}
        return max(better, key=better.__getitem__) if better else other
