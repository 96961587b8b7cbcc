"""Training that ends in the middle, as when the power is cut."""


class PowerCut(BaseException):
    """What no one catches."""


def cut_after(stage, epoch):
    def progress(name, done, total):
        if (name, done) == (stage, epoch):
            raise PowerCut

    return progress
