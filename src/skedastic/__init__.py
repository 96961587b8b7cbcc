"""skedastic trains models that hold up where labels are noisy and examples are rare.

    import skedastic as sk
    result = sk.fit(X, y, method=sk.HAR(strength=0.1))
    result.group_stats, result.strengths, result.label_issues
    result.predict(X_new)

Names are imported when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from skedastic.methods.catalogue import method_classes
from skedastic.runtime.lazy import homes, submodule
from skedastic.version import __version__ as __version__

if TYPE_CHECKING:
    from skedastic.errors import Diverged as Diverged
    from skedastic.errors import UserError as UserError
    from skedastic.pipeline import compare as compare
    from skedastic.pipeline.from_python import fit as fit
    from skedastic.runs.comparison import Comparison as Comparison
    from skedastic.runs.load import load as load
    from skedastic.runs.load import load_summary as load_summary
    from skedastic.runs.result import Result as Result
    from skedastic.runs.summary import RunSummary as RunSummary
    from skedastic.runtime.limits import Limits as Limits
    from skedastic.runtime.limits import allowing as allowing
    from skedastic.settings.config import Config as Config
    from skedastic.settings.config import Estimation as Estimation
    from skedastic.training.config import TrainingConfig as TrainingConfig


def __getattr__(name: str) -> Any:
    """Return a name of the block above, a method by the name of its class (sk.HAR), or a package (sk.core).

    Methods are discovered: editors and type checkers see them as Any, and `dir(skedastic)` has them all. To have the
    type of one, import it from its module, as in `from skedastic.methods.har import HAR`.
    """
    home = {**homes(__name__), **method_classes()}.get(name)
    return submodule(__name__, name) if home is None else getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *homes(__name__), *method_classes()})
