"""skedastic trains models that hold up where labels are noisy and examples are rare.

    import skedastic as sk
    result = sk.fit(X, y, method=sk.HAR(strength=0.1))
    result.group_stats, result.strengths, result.label_issues
    result.predict(X_new)

Names are imported when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from skedastic.version import __version__ as __version__

if TYPE_CHECKING:
    from skedastic.errors import UserError as UserError
    from skedastic.methods.absgd import ABSGD as ABSGD
    from skedastic.methods.amp import AMP as AMP
    from skedastic.methods.asam import ASAM as ASAM
    from skedastic.methods.bbn import BBN as BBN
    from skedastic.methods.co_teaching import CoTeaching as CoTeaching
    from skedastic.methods.cutout import Cutout as Cutout
    from skedastic.methods.cvar import CVaR as CVaR
    from skedastic.methods.decoupling import Decoupling as Decoupling
    from skedastic.methods.eg import EG as EG
    from skedastic.methods.elr import ELR as ELR
    from skedastic.methods.elr_plus import ELRPlus as ELRPlus
    from skedastic.methods.erm import ERM as ERM
    from skedastic.methods.forward_correction import ForwardCorrection as ForwardCorrection
    from skedastic.methods.group_dro import GroupDRO as GroupDRO
    from skedastic.methods.har import HAR as HAR
    from skedastic.methods.incv import INCV as INCV
    from skedastic.methods.l2rw import L2RW as L2RW
    from skedastic.methods.lws import LWS as LWS
    from skedastic.methods.mentornet import MentorNet as MentorNet
    from skedastic.methods.meta_cb import MetaCB as MetaCB
    from skedastic.methods.mixup import Mixup as Mixup
    from skedastic.methods.mw_net import MWNet as MWNet
    from skedastic.methods.ncm import NCM as NCM
    from skedastic.methods.oltr import OLTR as OLTR
    from skedastic.methods.range_loss import RangeLoss as RangeLoss
    from skedastic.methods.sam import SAM as SAM
    from skedastic.methods.small_loss import SmallLoss as SmallLoss
    from skedastic.methods.tau_norm import TauNorm as TauNorm
    from skedastic.methods.tilted import Tilted as Tilted
    from skedastic.methods.two_stage import TwoStage as TwoStage
    from skedastic.methods.vat import VAT as VAT
    from skedastic.pipeline import compare as compare
    from skedastic.pipeline import fit as fit
    from skedastic.runs.load import load as load
    from skedastic.runs.load import load_summary as load_summary
    from skedastic.settings.config import Config as Config
    from skedastic.settings.config import Estimation as Estimation
    from skedastic.training.config import TrainingConfig as TrainingConfig

_HOME = {
    "fit": "skedastic.pipeline",
    "compare": "skedastic.pipeline",
    "load": "skedastic.runs.load",
    "load_summary": "skedastic.runs.load",
    "ABSGD": "skedastic.methods.absgd",
    "CoTeaching": "skedastic.methods.co_teaching",
    "ELR": "skedastic.methods.elr",
    "L2RW": "skedastic.methods.l2rw",
    "Mixup": "skedastic.methods.mixup",
    "MWNet": "skedastic.methods.mw_net",
    "SAM": "skedastic.methods.sam",
    "CVaR": "skedastic.methods.cvar",
    "EG": "skedastic.methods.eg",
    "ERM": "skedastic.methods.erm",
    "GroupDRO": "skedastic.methods.group_dro",
    "HAR": "skedastic.methods.har",
    "LWS": "skedastic.methods.lws",
    "NCM": "skedastic.methods.ncm",
    "TauNorm": "skedastic.methods.tau_norm",
    "Tilted": "skedastic.methods.tilted",
    "TwoStage": "skedastic.methods.two_stage",
    "AMP": "skedastic.methods.amp",
    "ASAM": "skedastic.methods.asam",
    "BBN": "skedastic.methods.bbn",
    "Cutout": "skedastic.methods.cutout",
    "Decoupling": "skedastic.methods.decoupling",
    "ELRPlus": "skedastic.methods.elr_plus",
    "ForwardCorrection": "skedastic.methods.forward_correction",
    "INCV": "skedastic.methods.incv",
    "MetaCB": "skedastic.methods.meta_cb",
    "RangeLoss": "skedastic.methods.range_loss",
    "SmallLoss": "skedastic.methods.small_loss",
    "VAT": "skedastic.methods.vat",
    "MentorNet": "skedastic.methods.mentornet",
    "OLTR": "skedastic.methods.oltr",
    "TrainingConfig": "skedastic.training.config",
    "Config": "skedastic.settings.config",
    "Estimation": "skedastic.settings.config",
    "UserError": "skedastic.errors",
}
__all__ = [
    "ABSGD",
    "AMP",
    "ASAM",
    "BBN",
    "EG",
    "ELR",
    "ERM",
    "HAR",
    "INCV",
    "L2RW",
    "LWS",
    "NCM",
    "OLTR",
    "SAM",
    "VAT",
    "CVaR",
    "CoTeaching",
    "Config",
    "Cutout",
    "Decoupling",
    "ELRPlus",
    "Estimation",
    "ForwardCorrection",
    "GroupDRO",
    "MWNet",
    "MentorNet",
    "MetaCB",
    "Mixup",
    "RangeLoss",
    "SmallLoss",
    "TauNorm",
    "Tilted",
    "TrainingConfig",
    "TwoStage",
    "UserError",
    "compare",
    "fit",
    "load",
    "load_summary",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    try:
        return importlib.import_module(f"{__name__}.{name}")  # sk.core, sk.methods, …
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
