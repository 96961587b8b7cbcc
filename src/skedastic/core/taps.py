"""Taps: the places in a network where the Jacobian of the loss is measured, and where it is shifted.

HAR (Cao et al. 2021, section 2.3 and appendix B) measures J_j = ∂ℓ/∂h_j at the outputs h_j of all normalization
layers. By default, in any network, these are

- all normalization layers, torch's and others' (a class whose name ends in Norm, such as transformers' LlamaRMSNorm);
- recurrent layers: their outputs and states, and the embeddings that feed them;
- where there is neither, every hidden layer: embeddings, and linear and convolution layers but the last.

`Layout` says which entries of a tapped output belong to which example. Most are [B, ...]; recurrent networks and
transformers may have time first, flattened sequences ([B·T, d]) or packed ones.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree

from skedastic.errors import UserError

Affine = Literal["after", "before"]
Choice = Callable[[str, nn.Module], bool]

TORCH_NORMALIZATION = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
BATCH_FIRST = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.modules.conv._ConvNd)  # their outputs are [B, C, ...]
RECURRENT = (nn.RNNBase, nn.RNNCellBase)
LINEAR = (nn.Linear, nn.modules.conv._ConvNd)
OTHERS_NORMALIZATION = re.compile(r"Norm(\d[dD])?$")
NO_LAYER = re.compile(r"(Weight|Spectral)Norm$")  # parametrizations of weights
SHOWN_NAMES = 12


def find_taps(net: nn.Module, names: Sequence[str] | Choice | None = None) -> dict[str, nn.Module]:
    """Return the modules of `net` to tap, by name, in the order of `net.named_modules()`; a shared module once.

    Parameters
    ----------
    net : nn.Module
        Any network.
    names : sequence of str or callable, optional
        Module names or shell patterns ("layer3.*"), or a function (name, module) -> bool. By default all normalization
        and recurrent layers, with embeddings where there are recurrent ones; in a network that has none of these every
        hidden layer (all embedding, linear and convolution layers but the last).

    Raises
    ------
    UserError
        Nothing can be tapped, or a name matches no module. It is a ValueError.
    """
    modules = {name: module for name, module in net.named_modules() if name}
    if callable(names):
        taps = {n: m for n, m in modules.items() if names(n, m)}
    elif names is not None:
        _check_patterns(net, names, modules)
        taps = {n: m for n, m in modules.items() if any(fnmatch.fnmatchcase(n, pattern) for pattern in names)}
    else:
        taps = _automatic(modules)
    if not taps:
        kind = type(net).__name__
        if names is None:
            rule = (
                f"{kind} has neither a normalization layer nor a hidden layer to measure the Jacobian at; name the "
                "modules with taps=..."
            )
            raise UserError(rule, setting="taps")
        given = None if callable(names) else list(names)
        rule = f"no module of {kind} is chosen; leave taps out to have them found"
        raise UserError(rule, setting="taps", value=given)
    return taps


def _automatic(modules: dict[str, nn.Module]) -> dict[str, nn.Module]:
    recurrent = any(isinstance(m, RECURRENT) for m in modules.values())
    kinds = (*RECURRENT, nn.Embedding) if recurrent else ()
    normalizing = {n: m for n, m in modules.items() if is_normalization(m) or isinstance(m, kinds)}
    if normalizing:
        return normalizing
    last = next((n for n, m in reversed(modules.items()) if isinstance(m, LINEAR)), None)
    return {n: m for n, m in modules.items() if isinstance(m, (*LINEAR, nn.Embedding)) and n != last}


def is_normalization(module: nn.Module) -> bool:
    """Return whether a module normalizes activations.

    Parameters
    ----------
    module : nn.Module
        Any layer.
    """
    if isinstance(module, TORCH_NORMALIZATION):
        return True
    name = type(module).__name__
    leaf = next(module.children(), None) is None
    return leaf and bool(OTHERS_NORMALIZATION.search(name)) and not NO_LAYER.search(name)


def _check_patterns(net: nn.Module, names: Sequence[str], modules: dict[str, nn.Module]) -> None:
    for pattern in names:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in modules):
            shown = ", ".join(list(modules)[:SHOWN_NAMES]) + (", …" if len(modules) > SHOWN_NAMES else "")
            raise UserError(f"matches no module of {type(net).__name__}; it has {shown}", setting="taps", value=pattern)


def affine_scale(module: nn.Module, output: Tensor) -> Tensor | None:
    """Return the weight γ of a normalization layer, shaped to multiply its output; None if it has none.

    h = γ·ĥ + β, so ∂ℓ/∂ĥ = γ·∂ℓ/∂h, and a shift of ĥ by δ is one of h by γ·δ: measuring before the affine part needs
    no change of the module.

    Parameters
    ----------
    module : nn.Module
        Any layer.
    output : Tensor
        Its output, [B, ...].
    """
    weight: Tensor | None = getattr(module, "weight", None)
    if not is_normalization(module) or weight is None:
        return None
    if isinstance(module, BATCH_FIRST):
        return weight.view(1, -1, *[1] * (output.dim() - 2))  # over the channels
    return weight  # over the trailing dimensions


class Layout(NamedTuple):
    """Which entries of a tapped output belong to which of the B examples.

    Parameters
    ----------
    dim : int
        The dimension that holds the examples; dimension 0 may hold several rows of each, one example after the other.
    rows : Tensor, optional
        Where sequences are packed, the example of each row, [rows].
    """

    dim: int = 0
    rows: Tensor | None = None

    def norms(self, j: Tensor, batch: int) -> Tensor:
        """Return the norm over each example's entries, [B], in single precision or better.

        Parameters
        ----------
        j : Tensor
            A tensor of the shape of the tapped output.
        batch : int
            B.
        """
        other = tuple(d for d in range(j.dim()) if d != self.dim)
        wide = torch.promote_types(j.dtype, torch.float32)
        per_row = torch.linalg.vector_norm(j, dim=other, dtype=wide) if other else j.to(wide).abs()
        if self.rows is not None:
            squares = per_row.new_zeros(batch).index_add(0, self.rows, per_row.square())
            return torch.where(squares > 0, squares, 1).sqrt() * (squares > 0)
        return per_row if len(per_row) == batch else torch.linalg.vector_norm(per_row.view(batch, -1), dim=1)

    def spread(self, values: Tensor, j: Tensor) -> Tensor:
        """Return one number for each example, so shaped that it multiplies `j`.

        Parameters
        ----------
        values : Tensor
            The numbers, [B].
        j : Tensor
            A tensor of the shape of the tapped output.
        """
        if self.rows is not None:
            values = values[self.rows]
        elif j.shape[self.dim] != len(values):
            values = values.repeat_interleave(j.shape[self.dim] // len(values))
        shape = [1] * j.dim()
        shape[self.dim] = -1
        return values.view(shape)

    def take(self, j: Tensor, examples: Tensor, batch: int) -> Tensor:
        """Return the entries of some of the examples, in their order. Not for packed sequences.

        Parameters
        ----------
        j : Tensor
            A tensor of the shape of the tapped output.
        examples : Tensor
            Their places in the batch, [k].
        batch : int
            B.
        """
        if j.shape[self.dim] == batch:
            return j.index_select(self.dim, examples)
        return j.view(batch, -1, *j.shape[1:])[examples].flatten(0, 1)


class Tap(NamedTuple):
    """One tensor in the output of a tapped module, as far as the module tells.

    Parameters
    ----------
    name : str
        The module's name.
    shape : torch.Size
        The tensor's shape.
    dim : int or None
        The dimension that holds the examples, where the module's kind tells.
    rows : Tensor or None
        Of a packed sequence, the example of each row.
    """

    name: str
    shape: torch.Size
    dim: int | None
    rows: Tensor | None

    def layout(self, batch: int, time_first: bool) -> Layout:
        """Return which entries belong to which example.

        Parameters
        ----------
        batch : int
            B.
        time_first : bool
            Whether the network has layers that take [time, batch, ...].

        Raises
        ------
        UserError
            The shape does not tell.
        """
        if self.rows is not None:
            return Layout(0, self.rows)
        dim = self.dim
        if dim is None:
            fits = [d for d in (0, 1) if d < len(self.shape) and self.shape[d] == batch]
            dim = fits[-1 if time_first else 0] if fits else 0
        held = self.shape[dim] if dim < len(self.shape) else 0
        if held and (held == batch or (dim == 0 and held % batch == 0 and not time_first)):
            return Layout(dim)
        rule = (
            f"its output is {list(self.shape)} for {batch} examples, and it can't be told which entries belong to "
            "which example; leave it out with taps=..."
        )
        raise UserError(rule, setting=f"tap {self.name!r}")


def tapped(name: str, module: nn.Module, output: Any) -> list[tuple[Tensor, Tap]]:
    """Return every real tensor in a module's output, each once, with its tap.

    Parameters
    ----------
    name : str
        The module's name.
    module : nn.Module
        The module.
    output : Any
        A tensor, or tuples, dicts and the like of them.
    """
    taps: dict[int, tuple[Tensor, Tap]] = {}
    for place, (tensor, rows) in enumerate(_tensors(output)):
        if tensor.is_floating_point() and tensor.dim() and id(tensor) not in taps:
            taps[id(tensor)] = tensor, Tap(name, tensor.shape, _dim(module, place), rows)
    return list(taps.values())


def with_tensors(output: Any, new: dict[int, Tensor]) -> Any:
    """Return a module's output with some of its tensors replaced.

    Parameters
    ----------
    output : Any
        A tensor, or tuples, dicts and the like of them.
    new : dict of Tensor
        The new tensors, by the `id` of the old ones.
    """
    if isinstance(output, Tensor):
        return new.get(id(output), output)
    if isinstance(output, PackedSequence):
        return output._replace(data=new.get(id(output.data), output.data))
    leaves, spec = pytree.tree_flatten(output, is_leaf=lambda o: isinstance(o, PackedSequence))
    return pytree.tree_unflatten([o if o is output else with_tensors(o, new) for o in leaves], spec)


def time_first(net: nn.Module) -> bool:
    """Return whether the network has layers that take [time, batch, ...], the default of torch's recurrent layers.

    Parameters
    ----------
    net : nn.Module
        Any network.
    """
    return any(getattr(m, "batch_first", None) is False for m in net.modules())


def _tensors(output: Any) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the tensors in an output, and of packed sequences the example of each row."""
    for leaf in pytree.tree_leaves(output, is_leaf=lambda o: isinstance(o, PackedSequence)):
        if isinstance(leaf, PackedSequence):
            sizes = leaf.batch_sizes.to(leaf.data.device)
            order = leaf.sorted_indices
            order = torch.arange(int(sizes[0]), device=sizes.device) if order is None else order
            yield leaf.data, torch.cat([order[: int(size)] for size in sizes])
        elif isinstance(leaf, Tensor):
            yield leaf, None


def _dim(module: nn.Module, place: int) -> int | None:
    if isinstance(module, nn.RNNBase):  # the output, then states [layers, B, ...]
        return 0 if module.batch_first and place == 0 else 1
    return 0 if isinstance(module, BATCH_FIRST) else None
