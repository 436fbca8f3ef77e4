"""The memory of a training: its estimate, checked before it starts, and its format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from spos._util.errors import UserError, explain
from spos._util.libraries import reason
from spos.cost.part import OnMeta, on_meta
from spos.cost.units import COUNT
from spos.nn.elastic import ElasticConv2d
from spos.nn.one_of import OneOf
from spos.nn.quantised import FixedBitsConv2d
from spos.nn.strided import StridedConv2d
from spos.nn.supernet import Supernet
from spos.nn.width import Width
from spos.training.theta import set_mixture

#: Input channels below which torch's strided 1x1 convolutions are not safe in channels_last.
SAFE_CHANNELS = 8


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

    Raises:
        UserError: the model does not run in training.

    Example:
        >>> activation_bytes(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), (4,), 2)
        64
    """
    meta = on_meta(model).train()
    for module in meta.modules():
        if isinstance(module, _NormBase):
            # With None it reads the number of batches, which has no value there.
            module.momentum = module.momentum or 0.0
    inputs = torch.empty(batch_size, *input_shape, device="meta")
    own = {parameter.untyped_storage()._cdata for parameter in meta.parameters()}
    paths: list[list[int]] = [[]]
    if options != 1:
        _mix_heaviest(meta, options)
    elif isinstance(meta, Supernet):
        choices = meta.space.choices
        most = [len(choice.options) - 1 for choice in choices]
        paths = [[min(option, last) for last in most] for option in range(max(most) + 1)]
        # The same paths with the largest sizes.
        for path in list(paths):
            columns = zip(choices, most, path, strict=True)
            largest = [last if choice.ordered else taken for choice, last, taken in columns]
            if largest not in paths:
                paths.append(largest)
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

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), _QuickNorm():
            output = _run(meta, inputs)
        heaviest = max(heaviest, sum(t.untyped_storage().nbytes() for t in kept.values()))
        del output
    return heaviest


def _run(model: nn.Module, inputs: Tensor) -> Any:
    try:
        return model(inputs)
    # A forward of the user's own may run in evaluation alone, and raises anything.
    except Exception as error:
        if explain(error) is not None:
            raise
        raise UserError(
            f"{type(model).__name__} does not run in training on inputs of shape "
            f"{tuple(inputs.shape)}: {reason(error)}"
        ) from error


class _Normalised(torch.autograd.Function):
    """What batch norm keeps for its backward pass."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, *running: Tensor | None) -> Tensor:
        statistics = inputs.new_empty(2, inputs.shape[1])
        context.save_for_backward(inputs, *running, *statistics.unbind())
        return torch.empty_like(inputs)


class _QuickNorm(OnMeta):
    """Batch norm on the meta device, where torch takes it apart into dozens of operations."""

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        if func is nn.functional.batch_norm:
            return _Normalised.apply(*args[:3])  # type: ignore[no-untyped-call]
        return func(*args, **kwargs)


def _mix_heaviest(model: nn.Module, options: int | None) -> None:
    for module in model.modules():
        if isinstance(module, OneOf):
            sizes = [sum(p.numel() for p in option.parameters()) for option in module.options]
            heaviest = sorted(range(len(sizes)), key=lambda index: -sizes[index])[:options]
            set_mixture(module, [(index, torch.tensor(1 / len(heaviest))) for index in heaviest])


def weight_bytes(build: Callable[[], nn.Module]) -> int:
    """Count the bytes of a model's weights before they are made.

    Args:
        build (Callable): makes the model; called on the meta device, where weights take no memory.

    Example:
        >>> weight_bytes(lambda: nn.Linear(3, 5))
        80
    """
    # Layers of a user's own may draw their weights all the same.
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return sum(p.numel() * p.element_size() for p in build().parameters())


def check_weights(weights: int) -> None:
    """Check that weights and one copy of them, such as their gradients, fit into memory.

    Args:
        weights (int): bytes of the weights.

    Raises:
        UserError: they do not fit.
    """
    free = psutil.virtual_memory().available
    if 2 * weights > free:
        raise UserError(
            f"not enough memory: the weights take {COUNT.format(weights)}B, twice while they are "
            f"trained, and {COUNT.format(free)}B are free; give narrower layers, such as a smaller "
            "--width"
        )


def check_memory(
    model: nn.Module,
    input_shape: Sequence[int],
    batch_size: int,
    device: torch.device,
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
        options (int | None): number of options per layer that run at the same time; None for all.
        copies (int): number of tensors of the size of the weights: 3 with gradients and momentum.

    Raises:
        UserError: the weights, gradients, momentum and activations do not fit.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    activations = activation_bytes(model, input_shape, batch_size, options)
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


def supports_channels_last(model: nn.Module, device: torch.device) -> bool:
    """Check whether a model can be trained in the memory format channels_last.

    On the CPU, torch 2.13 writes beyond the end of an array in the backward pass of a 1x1
    convolution with a stride and fewer than 8 input channels in this format.

    Args:
        model (nn.Module): model to train.
        device (torch.device): device of the training.

    Example:
        >>> cpu = torch.device("cpu")
        >>> supports_channels_last(nn.Conv2d(4, 8, 1, stride=2), cpu)
        False
        >>> supports_channels_last(nn.Conv2d(8, 8, 1, stride=2), cpu)
        True
    """
    if device.type != "cpu":
        return True
    found = (_kernel_stride_channels(module) for module in model.modules())
    return not any(
        one is not None and one[0] == (1, 1) and one[1] > 1 and one[2] < SAFE_CHANNELS
        for one in found
    )


def _kernel_stride_channels(module: nn.Module) -> tuple[tuple[int, ...], int, int] | None:
    """Kernel size, largest stride and fewest input channels of a convolution."""
    if isinstance(module, ElasticConv2d):
        # Its largest size, of one stride, is a convolution of its own.
        strides: tuple[int, ...] = (module.stride,)
        if isinstance(module, StridedConv2d):
            strides = module.searched_stride.strides
        inputs = module.inputs
        fewest = inputs.sizes[0] if isinstance(inputs, Width) else inputs.current
        return module.full.kernel_size, max(strides), 1 if module.depthwise else fewest
    if isinstance(module, (nn.Conv2d, FixedBitsConv2d)):
        _, channels, *kernel = module.weight.shape
        return tuple(kernel), max(module.stride), channels
    return None
