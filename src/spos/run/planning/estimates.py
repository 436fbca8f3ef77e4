"""The expected time of each stage of a run."""

from __future__ import annotations

from collections.abc import Sequence

from spos.report.diagnosis import StageEstimate
from spos.run.config import Config
from spos.run.network import UNTRAINED_IMAGES
from spos.run.planning.capacity import Capacity
from spos.run.planning.speed import Speed
from spos.run.planning.splits import count_split
from spos.run.planning.trainings import unhurried_steps
from spos.search.training_free import SAMPLE

#: Shares of the time of a run for the training of the supernet and for the search; the training of
#: the winner and of the networks that it is compared with takes the rest.
SHARES = (0.25, 0.08)
#: Share of the steps of the winner for which they are trained, if there is no time for as many: the
#: accuracy of the winner depends more on the length of its training than on anything else.
COMPARE_SHARE = 0.25
#: Networks trained at the end: the winner, two random ones and a uniform one.
TRAININGS = 4
#: Candidates that are evaluated in the time of one, because they share their beginnings.
SHARED = 1.5
#: Seconds that are not worth a line.
SHORT = 1.0
#: Images that are evaluated in the time of a score of an untrained network.
SCORED_AS = 2 * UNTRAINED_IMAGES


def count_untrained(config: Config) -> int:
    """Number of scores of untrained networks that a search adds to those of the supernet."""
    search = config.search
    return bool(search.naswot_weight) + bool(search.patterns_weight)


def estimate_stages(
    config: Config,
    capacity: Capacity,
    speed: Speed,
    *,
    training: float,
    flops: float,
    images: int,
    augmenting: float = 0.0,
    known_flops: Sequence[int] = (),
    reused: bool = False,
    free: bool = True,
    sized: bool = False,
    fixed: bool = False,
    compare: int | None = None,
) -> tuple[StageEstimate, ...]:
    """Estimate the time of each stage; those of later ones are adjusted when they begin.

    Args:
        config (Config): configuration of the run.
        capacity (Capacity): what the machine does in the time of the run.
        speed (Speed): measured speed of the machine.
        training (float): time of the training of the supernet in seconds.
        flops (float): multiply-adds of the winner.
        images (int): images to train on.
        augmenting (float): time in which a batch of the retraining is augmented.
        known_flops (Sequence[int]): multiply-adds of known networks to compare with.
        reused (bool): whether the supernet is that of another run.
        free (bool): whether the recipes are chosen, and not those of a preset.
        sized (bool): whether the size of the search is given, and not fitted to the time.
        fixed (bool): whether the steps of the retraining are, likewise.
        compare (int | None): number of random networks to compare with; None to choose it.
    """
    batch, count = config.run.evaluation_batch, config.candidates
    evaluated = min(config.run.calibration, images) + count_split(config.data.validation, images)
    evaluated *= config.supernet.members
    if added := count_untrained(config):
        evaluated += SCORED_AS * added
        count += SAMPLE
    search = count / SHARED * evaluated / batch * speed.evaluation.seconds(flops, batch)
    search /= capacity.parallel
    batch_size = config.retrain.batch_size
    step, *further = (
        speed.training.seconds(each, batch_size) + augmenting for each in (flops, *known_flops)
    )
    # In trainings of the winner.
    known = capacity.side_by_side([each / step for each in further])
    seconds, share = capacity.seconds, config.network.compare_share
    if compare is None and seconds is None and not free:
        compare = 0
    # With random networks goes a uniform one.
    compared = TRAININGS - 1 if compare is None else compare + bool(compare)
    first, others = capacity.train_all(compared, share)
    if seconds is not None:
        if not config.required_method and not sized:
            train, part = SHARES
            search = seconds * (part / (1 - train) if reused else part)
        own = max(seconds - training - search, 0.0) / (first + others + known)
    else:
        own = step * unhurried_steps(images, batch_size)
    if fixed or not free:
        own = step * config.retrain.steps
    times = {"read": capacity.reading} if capacity.reading > SHORT else {}
    times |= {} if reused else {"train": training}
    times |= {"search": search, "retrain": own * first}
    times |= {"known": own * known} if known_flops else {}
    times |= {"compare": own * others} if others else {}
    return tuple(map(StageEstimate, times, times.values()))
