"""Comparison of the winner with known networks, trained by the same recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spos._util.errors import UserError
from spos.report.result import KnownNetwork
from spos.run.context import Context
from spos.run.fit import retrain_all
from spos.run.known_networks import build_known_network, check_known, parse_known
from spos.run.known_weights import digest_of
from spos.run.outcome import KnownOutcome, RetrainOutcome


def check_known_networks(context: Context, names: Sequence[str]) -> None:
    """Check known networks before anything is trained, unless they are trained already.

    Raises:
        UserError: a network cannot be built or trained, or its weights have changed.
    """
    done = _done(context)
    for name in dict.fromkeys(names):
        if name not in done:
            check_known(context, name)
        else:
            _check_weights(context, done[name])


def known_stage(context: Context, names: Sequence[str]) -> KnownOutcome:
    """Train known networks with the recipe of the winner, and test each once.

    Args:
        context (Context): run whose winner is retrained.
        names (Sequence[str]): names of the networks (:func:`parse_known`); those that are already
            trained stay.

    Raises:
        UserError: the run has no retrained winner, or a network cannot be built.
    """
    directory, done = context.directory, _done(context)
    winner, before = directory.outcome(RetrainOutcome), directory.outcome(KnownOutcome)
    if winner is None or winner.test_score is None:
        raise UserError(f"{directory.path} has no retrained winner to compare with")
    missing = [name for name in dict.fromkeys(names) if name not in done]
    if before is not None and not missing:
        return before
    stages = {name: parse_known(name).stage for name in missing}
    widths = {name: check_known(context, name)[0] for name in missing}
    texts = {stage: name for name, stage in stages.items()}
    outcomes = retrain_all(context, texts, "known", build_known_network)
    for name, stage in stages.items():
        outcome = outcomes[stage]
        if outcome.architecture != name:
            raise UserError(
                f"{directory.path}: {stage} is the network {outcome.architecture}, not {name}; "
                "give another --out"
            )
        assert outcome.test_score is not None, "the first process tests the network"
        done[name] = KnownNetwork(
            name, outcome.costs, outcome.test_score, widths[name], outcome.weights
        )
    seconds = sum(outcome.seconds for outcome in outcomes.values())
    return directory.finish(
        KnownOutcome(
            seconds=seconds + (before.seconds if before else 0.0),
            networks=tuple(done.values()),
            found_test_score=winner.test_score,
        )
    )


def _done(context: Context) -> dict[str, KnownNetwork]:
    outcome = context.directory.outcome(KnownOutcome)
    return {one.name: one for one in outcome.networks} if outcome else {}


def _check_weights(context: Context, network: KnownNetwork) -> None:
    known = parse_known(network.name)
    # Weights that are no longer there are not needed any more.
    if known.file and Path(known.file).expanduser().exists() and known.weights != network.weights:
        raise UserError(
            f"{known.file}: {context.directory.path} was made with {network.weights}, this one has "
            f"the sha256 {digest_of(known.file)[:16]}: restore it, or give another --out"
        )
