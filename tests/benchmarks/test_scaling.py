"""The benchmark of many GPUs: what is counted, and what is computed from it."""

from __future__ import annotations

import pytest
import torch

from spos.run.config import make_config
from spos.spaces import family


def test_a_path_has_the_gradients_of_its_network_alone() -> None:
    import scaling

    config = make_config({"space": {"name": "shufflenetv2", "preset": "tiny"}})
    with torch.device("meta"):
        supernet = family(config.space).build(config.layout, classes=10, image_channels=3)
    used = scaling.gradient_bytes(supernet, config.layout.image_size, 2)
    weights = {name: 4 * weight.numel() for name, weight in supernet.named_parameters()}
    for number, names in enumerate(used):
        path = supernet.space.sample(scaling.generator(scaling.SEED, "scaling", number))
        # The norms of the supernet have no weights, those of a network alone have.
        parameters = [one for one in supernet.subnet(path).parameters() if one.dim() > 1]
        alone = sum(4 * weight.numel() for weight in parameters)
        assert sum(weights[name] for name in names) == alone
    assert alone < scaling.union(used, weights) < sum(weights.values())


def test_times_follow_from_the_assumptions() -> None:
    import scaling

    given = scaling.Assumptions(
        images=1000, scores=2000, least=64, gpus=4, inside=100.0, between=10.0, latency=0.5
    )
    # Alone nothing is exchanged; in a node 3/4 twice, and two messages for each of 4 exchanges.
    assert scaling.step(1000, 1024, 1, given) == pytest.approx(1.024)
    assert scaling.exchange(1000, 4, given) == pytest.approx(1.5 * 10 + 4 * 2 * 0.5)
    assert scaling.exchange(1000, 8, given) == pytest.approx(15 + 100 + 4 * 3 * 0.5)
    # No GPU is faster with less than 64 images.
    few, fewer = (
        scaling.step(0, 1024, count, given) - scaling.exchange(0, count, given)
        for count in (16, 64)
    )
    assert (few, fewer) == (pytest.approx(0.064), pytest.approx(0.064))
    config = make_config({"space": {"name": "shufflenetv2", "preset": "imagenet"}})
    times = [scaling.search_seconds(config, count, 0.003, given) for count in (1, 6, 512)]
    assert times[0] == pytest.approx(1000 * 35)
    # 50 candidates are 6 pieces of at most 9, or one for each.
    assert times[1] == pytest.approx(20 * (9 * 35 + 0.003))
    assert times[2] == pytest.approx(20 * (35 + 0.003))
