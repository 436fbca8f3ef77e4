"""Backward passes on a CPU without the slow kernels of torch.

Values differ from those of torch in their last digits, where sums have another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spos.nn.elastic import ElasticConv2d
from spos.nn.halves import Halves, trainable_halves

_backward = torch.ops.aten.convolution_backward
#: Columns of a depthwise kernel up to which oneDNN has a fast kernel for the gradient of weights.
COLUMNS = 3
#: Channels below which a smaller kernel costs more calls than it saves.
LEAST_CHANNELS = 32
#: Channels from which torch walks a part of the channels as fast as all of them.
MANY_CHANNELS = 64
#: How modules that can be changed convolve; a subclass may do it in another way.
CONVOLUTIONS = (nn.Conv2d._conv_forward, ElasticConv2d._conv_forward)
#: Elementwise modules, whose backward pass walks two tensors side by side.
ELEMENTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh),
)


@contextmanager
def fast_backward(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Let the backward passes of a model avoid what is slow on a CPU; nothing on other devices.

    - The gradient of the weights of a depthwise convolution with more than three columns is
      computed by three columns at a time: oneDNN has a fast kernel for these alone.
    - A gradient that enters an activation has the memory format of its output: walking two
      formats at once takes longer than copying one of them.
    - Of the halves of the channels in a shuffle unit, one gradient is written at once.

    Args:
        model (nn.Module): model to train; its modules are changed inside the context only.
        device (torch.device): device of the training.

    Example:
        >>> model = nn.Conv2d(32, 32, 5, padding=2, groups=32)
        >>> with fast_backward(model, torch.device("cpu")):
        ...     model(torch.ones(1, 32, 8, 8)).sum().backward()
        >>> model.weight.grad.shape
        torch.Size([32, 1, 5, 5])
    """
    with ExitStack() as stack:
        if device.type == "cpu":
            for module in model.modules():
                if _is_wide(module):
                    # An attribute of the module, which torch's ``forward`` calls.
                    vars(module)["_conv_forward"] = _convolution(module)
                    stack.callback(vars(module).pop, "_conv_forward")
                elif type(module) is Halves:
                    vars(module)["forward"] = trainable_halves
                    stack.callback(vars(module).pop, "forward")
                elif type(module) in ELEMENTWISE:
                    stack.callback(module.register_forward_hook(_keep_format).remove)
        yield


def _is_wide(module: nn.Module) -> bool:
    layer = module.full if isinstance(module, ElasticConv2d) else module
    return (
        isinstance(layer, nn.Conv2d)
        and getattr(type(module), "_conv_forward", None) in CONVOLUTIONS
        and LEAST_CHANNELS <= layer.in_channels == layer.out_channels == layer.groups
        and layer.kernel_size[1] > COLUMNS
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )


def _convolution(module: Any) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    layer = module.full if isinstance(module, ElasticConv2d) else module
    padding = layer.padding

    def convolve(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        tensors: tuple[Tensor | None, ...] = (inputs, weight, bias)
        if torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
            tensors = tuple(one if one is None else one.to(kind) for one in tensors)
        trained = inputs.dim() == 4 and torch.is_grad_enabled() and weight.requires_grad
        # A searchable width uses a part of the weight.
        if trained and len(weight) >= LEAST_CHANNELS:
            result: Tensor = _Depthwise.apply(*tensors, padding)  # type: ignore[no-untyped-call]
            return result
        return F.conv2d(inputs, weight, bias, 1, padding, 1, len(weight))

    return convolve


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution of stride 1, whose kernel is cut for the gradient of its weights."""

    @staticmethod
    def forward(
        context: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]
    ) -> Tensor:
        context.save_for_backward(inputs, weight)
        context.padding = padding
        return F.conv2d(inputs, weight, bias, 1, padding, 1, len(weight))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        inputs, weight = context.saved_tensors
        if inputs.is_contiguous(memory_format=torch.channels_last):
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_inputs, of_weight, of_bias, _ = context.needs_input_grad

        def partial(
            inputs: Tensor, weight: Tensor, padding: tuple[int, int], *needed: bool
        ) -> tuple[Tensor, Tensor, Tensor]:
            sizes = (None, [1, 1], padding, [1, 1], False, [0, 0], len(weight))
            found: tuple[Tensor, Tensor, Tensor] = _backward(
                gradient, inputs, weight, *sizes, (*needed, False)
            )
            return found

        first = partial(inputs, weight, context.padding, True, False)[0] if of_inputs else None
        # With the gradient of the bias oneDNN computes that of all columns too.
        last = gradient.sum((0, 2, 3)) if of_bias else None
        if not of_weight:
            return first, None, last, None
        (rows, columns), (height, width) = context.padding, inputs.shape[2:]
        # The fast kernel wants no fewer rows than those of the weight.
        above = 0 if height >= weight.shape[2] else rows
        parts = []
        for begin in range(0, weight.shape[3], COLUMNS):
            part = weight[..., begin : begin + COLUMNS]
            end = begin - columns + gradient.shape[3] + part.shape[3] - 1
            seen = F.pad(inputs, (columns - begin, end - width, above, above))
            parts.append(partial(seen, part, (rows - above, 0), False, True)[1])
        return first, torch.cat(parts, 3), last, None


def _keep_format(module: nn.Module, inputs: Any, output: Tensor) -> None:
    whole = output.dim() == 4 and output.is_contiguous(memory_format=torch.channels_last)
    if whole and output.requires_grad and not output.is_contiguous():
        output.register_hook(_as_channels_last)  # type: ignore[no-untyped-call]


def _as_channels_last(gradient: Tensor) -> Tensor | None:
    if gradient.stride(1) == 1 and gradient.shape[1] >= MANY_CHANNELS:
        return None
    return gradient.contiguous(memory_format=torch.channels_last)
