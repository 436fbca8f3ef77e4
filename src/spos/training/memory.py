"""An estimate of the memory of a training, checked before it starts."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
import torch
from torch import Tensor, nn

from spos._util.errors import UserError
from spos.cost.part import on_meta
from spos.cost.units import COUNT
from spos.nn.one_of import OneOf
from spos.nn.supernet import Supernet
from spos.training.theta import set_mixture


def activation_bytes(
    model: nn.Module, input_shape: Sequence[int], batch_size: int, options: int | None = 1
) -> int:
    """Estimate the bytes that a training step keeps for its backward pass.

    The heaviest path of a supernet is searched for among the paths that take the same option in
    every choice, with and without the largest sizes.

    Args:
        model (nn.Module): supernet or plain network.
        input_shape (Sequence[int]): shape of one input, without the batch.
        batch_size (int): images per step in one process, at least 1.
        options (int | None): number of options per layer that run at the same time, the heaviest
            ones; None for all.

    Example:
        >>> activation_bytes(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), (4,), 2)
        64
    """
    meta = on_meta(model).train()
    inputs = torch.empty(batch_size, *input_shape, device="meta")
    own = {parameter.untyped_storage()._cdata for parameter in meta.parameters()}
    paths: list[list[int]] = [[]]
    if options != 1:
        _mix_heaviest(meta, options)
    elif isinstance(meta, Supernet):
        counts = meta.space.option_counts
        paths = [[min(option, count - 1) for count in counts] for option in range(max(counts))]
        # The same paths with the largest sizes.
        largest = [
            [
                len(choice.options) - 1 if choice.ordered else taken
                for choice, taken in zip(meta.space.choices, path, strict=True)
            ]
            for path in paths
        ]
        paths += [path for path in largest if path not in paths]
    heaviest = 0
    for path in paths:
        if isinstance(meta, Supernet) and path:
            meta.activate(path)
        # Kept alive until they are summed, because the id of a freed storage may be reused.
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor, kept: dict[int, Tensor] = kept) -> Tensor:
            storage = tensor.untyped_storage()._cdata
            if storage not in own:
                kept[storage] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = meta(inputs)
        heaviest = max(heaviest, sum(t.untyped_storage().nbytes() for t in kept.values()))
        del output
    return heaviest


def _mix_heaviest(model: nn.Module, options: int | None) -> None:
    for module in model.modules():
        if isinstance(module, OneOf):
            sizes = [sum(p.numel() for p in option.parameters()) for option in module.options]
            heaviest = sorted(range(len(sizes)), key=lambda index: -sizes[index])[:options]
            set_mixture(module, [(index, torch.tensor(1 / len(heaviest))) for index in heaviest])


def check_memory(
    model: nn.Module,
    input_shape: Sequence[int],
    batch_size: int,
    device: torch.device,
    available: int | None = None,
    *,
    options: int | None = 1,
    copies: int = 3,
) -> None:
    """Check that a training fits into the memory of the device.

    Args:
        model (nn.Module): model to train.
        input_shape (Sequence[int]): shape of one input, without the batch.
        batch_size (int): images per step in one process, at least 1.
        device (torch.device): device of the training.
        available (int | None): free bytes on the device; None to query the device.
        options (int | None): number of options per layer that run at the same time; None for all.
        copies (int): number of tensors of the size of the weights: 3 with gradients and momentum.

    Raises:
        UserError: the weights, gradients, momentum and activations do not fit.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    activations = activation_bytes(model, input_shape, batch_size, options)
    if available is None:
        if device.type == "cuda":
            available = torch.cuda.mem_get_info(device)[0]
        elif device.type == "cpu":
            available = psutil.virtual_memory().available
        else:
            return
    needed = copies * weights + activations
    if needed > available:
        fitting = int(batch_size * max(0, available - copies * weights) / max(1, activations) * 0.9)
        advice = f"about {fitting} images fit" if fitting else "not even one image fits"
        raise UserError(
            f"not enough memory on {device}: a step of {batch_size} images needs about "
            f"{COUNT.format(needed)}B and {COUNT.format(available)}B are free; set a smaller "
            f"batch_size ({advice})"
        )
