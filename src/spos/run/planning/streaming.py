"""Whether the images of a planned run are in memory, and what it takes where they are not."""

from __future__ import annotations

import time

import psutil
import torch

from spos._util.cores import usable_cores
from spos.data import DataOptions, Images, StreamedImages
from spos.data.peek import ImageFacts
from spos.report.words import memory
from spos.run.config import Config
from spos.run.planning.plan import Draft

#: Share of the free memory that images may take.
HELD = 0.25
#: Images by which decoding is measured.
SAMPLE = 8


def choose_streaming(
    draft: Draft, config: Config, facts: ImageFacts, device: torch.device
) -> float:
    """Choose whether many images are held in memory, and the processes that decode them if not.

    Args:
        draft (Draft): settings so far; they are chosen there.
        config (Config): configuration with the size of the images.
        facts (ImageFacts): what the images are like.
        device (torch.device): device of the run, to which images in memory are moved.

    Returns:
        Seconds in which an image is decoded for a step; 0 where images are in memory.
    """
    data, side = config.data, config.layout.image_size
    options = DataOptions(stream=data.stream)
    if not options.streams(facts.count, facts.channels, side):
        return 0.0
    size = facts.count * facts.channels * side**2
    free = psutil.virtual_memory().available
    if device.type == "cuda":
        free = min(free, torch.cuda.mem_get_info(device)[0])
    if data.stream == "auto" and size <= HELD * free:
        reason = f"{memory(size)} of images, and {memory(free)} of memory are free"
        draft.choose("data.stream", "never", reason)
        return 0.0
    reason = f"{memory(size)} of images are decoded as they are needed"
    workers = draft.choose("data.workers", usable_cores(), reason)
    return facts.decoding / _at_once(int(workers))


def measure_decoding(images: Images) -> float:
    """Measure the seconds in which an image is decoded for a step; 0 where images are in memory.

    Example:
        >>> from spos.data import load_data
        >>> measure_decoding(load_data("digits").train)
        0.0
    """
    if not isinstance(images, StreamedImages):
        return 0.0
    sample = range(min(SAMPLE, len(images)))
    began = time.monotonic()
    images.pixels(sample)
    return (time.monotonic() - began) / len(sample) / _at_once(images.workers)


def _at_once(workers: int) -> int:
    return max(min(workers, usable_cores()), 1)


def loading(step: float, batch_size: int, decoding: float, device: torch.device) -> float:
    """Time by which a step is longer because its images are decoded.

    Args:
        step (float): seconds of the step alone.
        batch_size (int): images of the step.
        decoding (float): seconds in which one of them is decoded.
        device (torch.device): device of the step.

    Example:
        >>> loading(0.5, 100, 0.001, torch.device("cpu"))
        0.1
        >>> loading(0.5, 100, 0.001, torch.device("cuda"))
        0.0
    """
    whole = batch_size * decoding
    # An accelerator computes while processes of the CPU decode the next batch.
    return whole if device.type == "cpu" else max(whole - step, 0.0)
