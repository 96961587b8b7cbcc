"""What a fit or an estimate trains, part by part, and the time that is left of all of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A part of a fit or an estimate: a model of the estimate, or a stage of the method.

    Parameters
    ----------
    name : str
        The name by which its progress is told.
    steps : int
        Its epochs.
    rows : int
        The examples of an epoch, at least 1.
    trains : bool, optional
        Whether it trains by epochs; else it takes no time that tells of other parts, or that others tell of.
    seconds : float or None, optional
        The time that it is expected to take, where speeds were measured.
    """

    name: str
    steps: int
    rows: int
    trains: bool = True
    seconds: float | None = None


Plan = tuple[Part, ...]


class TimeLeft:
    """The time that is left of a whole job, from its plan and the time that the present part took so far.

    A part that is still to come is taken to need as much for an example as the present one; or, where the plan has
    seconds, as much longer or shorter than planned as the present one.

    Parameters
    ----------
    plan : tuple of Part
        The parts in their order. A part that it does not name is taken to be the last.
    clock : callable, optional
        Returns the seconds since any time.
    """

    def __init__(self, plan: Plan = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.plan, self.clock = plan, clock
        self.part, self.later = "", plan
        self.start, self.first, self.before = 0.0, 0, clock()

    def seconds(self, part: str, done: int, steps: int) -> float | None:
        """Return the seconds left when `done` of the `steps` of a part are; None where nothing is known yet."""
        now = self.clock()
        if part != self.part:
            self._begin(part, done, now)
        self.before = now
        if done <= self.first:
            return None
        own = next((p for p in self.plan if p.name == part), Part(part, steps, 1))
        if not own.trains:
            return None
        each = (now - self.start) / (done - self.first)
        return each * (steps - done) + self._of_later(own, each)

    def _of_later(self, own: Part, each: float) -> float:
        """Return the seconds of the later parts, where an epoch of the present one takes so many."""
        planned = [part.seconds for part in self.later if part.seconds is not None]
        if own.seconds and len(planned) == len(self.later):
            return sum(planned) * each * own.steps / own.seconds
        return each * sum(part.steps * part.rows for part in self.later if part.trains) / own.rows

    def _begin(self, part: str, done: int, now: float) -> None:
        """Begin a part: of one that was interrupted, the steps before are not this job's."""
        names = [p.name for p in self.plan]
        self.later = self.plan[names.index(part) + 1 :] if part in names else ()
        self.part, self.first = part, max(0, done - 1)
        self.start = now if done == 0 else self.before


def in_words(seconds: float) -> str:
    """Return a time that is not known well, such as "about 3 min"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
