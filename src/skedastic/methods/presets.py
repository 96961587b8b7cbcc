"""The published names, one table: the meaning, the source and the heading of each.

Every method is there under its own name with its defaults; these are the others. A setting of a preset can be changed
like any other: `cb-focal(loss=focal(gamma=2))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from skedastic.core.class_weights import Deferred, EffectiveNumber
from skedastic.core.epochs import FIRST_DROP
from skedastic.core.samplers import ClassBalanced
from skedastic.errors import unknown
from skedastic.losses.balanced_softmax import BalancedSoftmax
from skedastic.losses.cross_entropy import CrossEntropy
from skedastic.losses.dmi import DMI
from skedastic.losses.focal import Focal
from skedastic.losses.gce import GCE
from skedastic.losses.ldam import LDAM
from skedastic.losses.logit_adjusted import LogitAdjusted
from skedastic.losses.poly1 import Poly1
from skedastic.losses.sce import SCE
from skedastic.methods import discover
from skedastic.methods.absgd import ABSGD
from skedastic.methods.bases.card import Role
from skedastic.methods.bases.method import Method
from skedastic.methods.erm import ERM


class Named(NamedTuple):
    """A published name."""

    method: str  # the name on the card
    settings: Mapping[str, Any]
    family: str
    title: str
    paper: str
    equations: str
    role: Role = "other"  # in a comparison of all methods


ABSGD_PAPER = "Qi et al., Attentional-Biased Stochastic Gradient Descent, TMLR 2023"
CUI = "Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019"
LDAM_PAPER = "Cao et al., Learning Imbalanced Datasets with LDAM, NeurIPS 2019"
GCE_PAPER = "Zhang and Sabuncu, Generalized Cross Entropy, NeurIPS 2018"
SCE_PAPER = "Wang et al., Symmetric Cross Entropy, ICCV 2019"
DECOUPLING = "Kang et al., Decoupling Representation and Classifier, ICLR 2020"
HAR_PAPER = "Cao et al., Heteroskedastic and Imbalanced Deep Learning, ICLR 2021"
HAR_CODE_SOURCE = "Cao et al., ICLR 2021, github.com/kaidic/HAR, commit 188a463"
HAR_CODE: Mapping[str, Any] = {
    "strength": 10.0, "gradient": "exact", "norm": "layers", "affine": "before", "reduction": "mean", "select": 1.0
}  # fmt: skip
INFINITE = float("inf")
LATER_LAM = ((0.0, INFINITE), (FIRST_DROP, 5.0))  # epoch 160 of 200 in the authors' train.py, as the weights below
NOISE = {  # the authors' command lines for label noise; λ from epoch 80 of 120 on, in their noisy_label/train.py
    "lam": ((0.0, INFINITE), (2 / 3, -1.0)), "gamma": 0.5, "alpha": 0.5, "uniform": 1.0,
}  # fmt: skip
LATE_WEIGHTS = Deferred(of=EffectiveNumber(), start=FIRST_DROP)
TABLES_FOCAL = Focal(gamma=1.0)  # in the code of LDAM and ABSGD, and in Cui et al.'s command line for class weights
TRUNCATED = GCE(truncation=0.5)

NAMED: Mapping[str, Named] = {
    # losses
    "label-smoothing": Named(
        "erm", {"loss": CrossEntropy(smoothing=0.1)}, "losses", "Cross entropy of smoothed labels",
        "Szegedy et al., Rethinking the Inception Architecture, CVPR 2016",
        "−Σ t_c log p_c, t = 0.9 y + 0.1/C (sec. 7)",
    ),
    "focal": Named(
        "erm", {"loss": Focal()}, "losses", "Focal loss",
        "Lin et al., Focal Loss for Dense Object Detection, ICCV 2017", "−(1 − p)^γ log p (eq. 4)",
    ),
    "gce": Named("erm", {"loss": GCE()}, "losses", "Generalized cross entropy", GCE_PAPER, "(1 − p^q)/q (eq. 6)"),
    "tce": Named(
        "two-stage",
        {"first": ERM(loss=GCE()), "then": ERM(loss=TRUNCATED), "train": "all", "fresh_head": False, "begins": 1 / 3,
         "lr_scale": 0.1},
        "losses", "Truncated generalized cross entropy, after it untruncated", GCE_PAPER,
        "(1 − max(p, k)^q)/q (eq. 9)",
    ),
    "sce": Named("erm", {"loss": SCE()}, "losses", "Symmetric cross entropy", SCE_PAPER, "α CE + β RCE (eq. 7)"),
    "dmi": Named(
        "two-stage",
        {"first": ERM(), "then": ERM(loss=DMI()), "train": "all", "fresh_head": False, "begins": 0.7, "lr_scale": 0.1,
         "optimizer": "adam"},
        "losses", "Determinant-based mutual information, after cross entropy",
        "Xu et al., L_DMI: A Novel Information-theoretic Loss Function, NeurIPS 2019", "−log |det U| (eq. 7)",
    ),
    "poly1": Named(
        "erm", {"loss": Poly1()}, "losses", "Poly-1", "Leng et al., PolyLoss, ICLR 2022", "−log p + ε (1 − p) (eq. 5)"
    ),
    "ldam": Named(
        "erm", {"loss": LDAM()}, "losses", "Label-distribution-aware margins, cosine head", LDAM_PAPER,
        "CE of s (cos − Δ_y), Δ_c ∝ n_c^(−1/4) (eq. 12)",
    ),
    "logit-adjusted": Named(
        "erm", {"loss": LogitAdjusted()}, "losses", "Logit-adjusted cross entropy",
        "Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021", "CE of f + τ log π (eq. 10)",
    ),
    "balanced-softmax": Named(
        "erm", {"loss": BalancedSoftmax()}, "losses", "Balanced softmax",
        "Ren et al., Balanced Meta-Softmax, NeurIPS 2020", "CE of f + log n (eq. 4)",
    ),
    # class weights
    "cb-ce": Named(
        "erm", {"class_weights": EffectiveNumber()}, "class weights", "Cross entropy, class-balanced", CUI,
        "w_c ∝ (1 − β)/(1 − β^n_c) (eq. 2)",
    ),
    "cb-focal": Named(
        "erm", {"loss": TABLES_FOCAL, "class_weights": EffectiveNumber()}, "class weights",
        "Focal loss, class-balanced, γ = 1",
        CUI, "w_c ∝ (1 − β)/(1 − β^n_c) (eq. 2)",
    ),
    "ldam-drw": Named(
        "erm", {"loss": LDAM(), "class_weights": LATE_WEIGHTS}, "class weights", "LDAM with deferred class weights",
        LDAM_PAPER,
        "Algorithm 1",
    ),
    "cb-ldam": Named(
        "erm", {"loss": LDAM(), "class_weights": LATE_WEIGHTS}, "class weights",
        "LDAM-DRW, as ABSGD's tables call it", LDAM_PAPER, "Algorithm 1",
    ),
    # samplers
    "resampling": Named(
        "erm", {"sampler": ClassBalanced()}, "samplers", "Class-balanced batches", LDAM_PAPER, "p_c = 1/C (section 4)"
    ),
    # instance weights
    "absgd-focal": Named(
        "absgd", {"lam": LATER_LAM, "loss": TABLES_FOCAL}, "instance weights", "ABSGD (Focal)", ABSGD_PAPER,
        "Table 1"
    ),
    "absgd-cb-ce": Named(
        "absgd", {"lam": LATER_LAM, "class_weights": LATE_WEIGHTS}, "instance weights", "ABSGD (CB-CE)", ABSGD_PAPER,
        "Table 2"
    ),
    "absgd-cb-focal": Named(
        "absgd", {"lam": LATER_LAM, "loss": TABLES_FOCAL, "class_weights": LATE_WEIGHTS}, "instance weights",
        "ABSGD (CB-Focal)", ABSGD_PAPER, "Table 2",
    ),
    "absgd-cb-ldam": Named(
        "absgd", {"lam": LATER_LAM, "loss": LDAM(), "class_weights": LATE_WEIGHTS}, "instance weights",
        "ABSGD (CB-LDAM)",
        ABSGD_PAPER, "Table 2",
    ),
    "absgd-ce": Named(
        "absgd", NOISE, "instance weights", "ABSGD (CE), for label noise", ABSGD_PAPER, "Table 7"
    ),
    "absgd-sce": Named(
        "absgd", {**NOISE, "loss": SCE()}, "instance weights", "ABSGD (SCE), for label noise", ABSGD_PAPER,
        "Tables 6 and 7",
    ),
    "absgd-tce": Named(
        "absgd", {**NOISE, "loss": GCE()}, "instance weights",
        "ABSGD (TCE), for label noise; not truncated, as in the authors' code", ABSGD_PAPER, "Table 7",
    ),
    "abadam": Named(
        "absgd", {"optimizer": "adamw"}, "instance weights", "Attentional-biased Adam, bias corrected as in Adam",
        ABSGD_PAPER, "eq. 9, and the authors' package",
    ),
    "abadam-uncorrected": Named(
        "absgd", {"optimizer": "adamw", "bias_correction": False}, "instance weights",
        "Attentional-biased Adam as its equation stands, without bias correction", ABSGD_PAPER, "eq. 9",
    ),
    "absgd-two-stage": Named(
        "two-stage", {"first": ERM(), "then": ABSGD(lam=10.0), "train": "last-block", "fresh_head": False,
        "begins": 0.5},
        "instance weights", "Plain training, then ABSGD on the last layers", ABSGD_PAPER, "section 3.6, Table 3",
    ),
    "eg-sce": Named(
        "eg", {"loss": SCE()}, "instance weights", "EG (SCE), for label noise",
        "Majidi et al., arXiv 2104.01493, 2021",
        "w_i ∝ w_i^r exp(−η ℓ_i)",
    ),
    # two stages
    "crt": Named(
        "two-stage", {}, "two stages", "Classifier re-training on class-balanced batches", DECOUPLING, "section 4.2"
    ),
    "joint": Named(
        "two-stage", {"train": "all", "fresh_head": False}, "two stages",
        "A second stage of class-balanced batches on everything",
        DECOUPLING, "Qi et al., Table 3",
    ),
    # regularization
    "unif": Named(
        "har", {"weighting": "uniform"}, "regularization", "The same penalty on everyone", HAR_PAPER,
        "eq. 7, λ constant"
    ),
    "har-unit": Named("har", {"noise": "unit"}, "regularization", "HAR by rarity alone", HAR_PAPER,
    "τ_g ∝ q_g^(−2/5)"),
    "har-auto": Named(
        "har", {"strength": "auto"}, "regularization", "HAR that finds its strength", "ours, docs/guide/strength.md",
        "—", role="headline",
    ),
    "har-code": Named(
        "har", HAR_CODE, "regularization", "HAR as its authors' code has it, and its strength 10", HAR_CODE_SOURCE,
        "cifar_train.py --reg_weight 10",
    ),
    "unif-code": Named(
        "har", {**HAR_CODE, "weighting": "uniform"}, "regularization", "The same penalty on everyone, as har-code",
        HAR_CODE_SOURCE, "cifar_train.py --reg_weight 10, λ constant",
    ),
    "har-drw": Named(
        "har", {"class_weights": LATE_WEIGHTS}, "regularization",
        "HAR with deferred class weights", HAR_PAPER, "Table 3",
    ),
    "har-random": Named(
        "har", {"weighting": "random"}, "regularization", "An ablation: the strengths of random groups", HAR_PAPER,
        "appendix C.4"
    ),
    "har-inverse": Named(
        "har", {"weighting": "inverse"}, "regularization", "An ablation: the strengths inverted", HAR_PAPER,
        "appendix C.4"
    ),
}  # fmt: skip


class Preset(NamedTuple):
    """A name of a method: its class, and the settings that the name stands for."""

    cls: type[Method]
    settings: Mapping[str, Any]
    family: str
    title: str
    paper: str
    equations: str
    role: Role

    def make(self) -> Method:
        """Return the method."""
        return self.cls(**self.settings)


@cache
def presets() -> Mapping[str, Preset]:
    """Return every name that a user may ask for: those on the cards, and the published ones of the table `NAMED`."""
    classes = discover()
    own = {name: _of_card(cls) for name, cls in classes.items()}
    published = {name: Preset(classes[named.method], *named[1:]) for name, named in NAMED.items()}
    return dict(sorted({**own, **published}.items()))


def find_preset(name: str) -> Preset:
    """Return a preset; raises UserError with the nearest name where there is none."""
    try:
        return presets()[name]
    except KeyError:
        raise unknown("method", name, presets()) from None


def _of_card(cls: type[Method]) -> Preset:
    card = cls.card
    return Preset(cls, {}, card.family, card.title, card.paper, card.equations, card.role)
