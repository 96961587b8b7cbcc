"""Training that ends in the middle, as when the power is cut."""

from skedastic.training import Checkpoints


class PowerCut(BaseException):
    """What no one catches."""


def cut_after(stage, epoch):
    def progress(name, done, total):
        if (name, done) == (stage, epoch):
            raise PowerCut

    return progress


class CutAtStep(Checkpoints):
    """Checkpoints that are written at one step of a run, counted from 1, and where the power is cut then."""

    def __init__(self, folder, step=0, name=""):
        super().__init__(folder, float("inf"), name=name)
        self.step, self.taken, self.places = step, 0, list[tuple[int, int]]()

    due_within_epoch = True

    def write(self, stage, snapshot):
        self.places.append((snapshot.facts["epoch"], snapshot.facts["batches"]))
        if snapshot.facts["batches"] == 0:  # the end of a stage
            return super().write(stage, snapshot)
        self.taken += 1
        if self.taken == self.step:
            super().write(stage, snapshot)
            raise PowerCut
        return None
