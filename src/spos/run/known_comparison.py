"""Comparison of the winner with known networks, trained by the same recipe."""

from __future__ import annotations

from collections.abc import Sequence

from spos._util.errors import UserError
from spos._util.files import expand_home
from spos.report.result import KnownNetwork
from spos.run.context import Context
from spos.run.fit import retrain_all
from spos.run.known_networks import build_known_network, check_known, parse_known
from spos.run.known_weights import digest_of
from spos.run.outcome import KnownOutcome, RetrainOutcome
from spos.run.recorder import timed


def check_known_networks(context: Context, names: Sequence[str]) -> None:
    """Check known networks before anything is trained, unless they are trained already.

    Raises:
        UserError: a network cannot be built or trained, its weights have changed, or it would be
            saved where another one is.
    """
    done = _done(context)
    for name in done.keys() & {*names}:
        _check_weights(context, done[name])
    for name in _missing(context, names).values():
        check_known(context, name)


def known_stage(context: Context, names: Sequence[str]) -> KnownOutcome:
    """Train known networks with the recipe of the winner, and test each once.

    Args:
        context (Context): run whose winner is retrained.
        names (Sequence[str]): names of the networks (:func:`parse_known`); those that are already
            trained stay, and one that has two names is trained once.

    Raises:
        UserError: the run has no retrained winner, or a network cannot be built.
    """
    directory, done = context.directory, _done(context)
    winner, before = directory.outcome(RetrainOutcome), directory.outcome(KnownOutcome)
    if winner is None or winner.test_score is None:
        raise UserError(f"{directory.path} has no retrained winner to compare with")
    missing = _missing(context, names)
    if before is not None and not missing:
        return before
    widths = {name: check_known(context, name)[0] for name in missing.values()}
    with timed(directory, KnownOutcome.stage) as watch:
        outcomes = retrain_all(context, missing, "known", build_known_network)
    for stage, name in missing.items():
        outcome = outcomes[stage]
        assert outcome.test_score is not None, "the first process tests the network"
        done[name] = KnownNetwork(
            name, outcome.costs, outcome.test_score, widths[name], outcome.weights
        )
    return directory.finish(
        KnownOutcome(
            seconds=watch.seconds,
            networks=tuple(done.values()),
            found_test_score=winner.test_score,
        )
    )


def _done(context: Context) -> dict[str, KnownNetwork]:
    outcome = context.directory.outcome(KnownOutcome)
    return {one.name: one for one in outcome.networks} if outcome else {}


def _missing(context: Context, names: Sequence[str]) -> dict[str, str]:
    """The networks that are not trained yet, each once: names by the stage that trains them."""
    directory, done = context.directory, _done(context)
    trained = {_identity(one.name, one.weights) for one in done.values()}
    missing: dict[str, str] = {}
    for name in (one for one in names if one not in done):
        known = parse_known(name)
        one = _identity(name, known.weights)
        if one in trained:
            continue
        first = missing.setdefault(known.stage, name)
        there = [(first, parse_known(first).weights)]
        if outcome := directory.outcome(RetrainOutcome, known.stage):
            there.append((outcome.architecture, outcome.weights))
        for other, weights in there:
            if _identity(other, weights) != one:
                raise UserError(
                    f"--compare-with {name}: {directory.path} would keep it where {other} is, as "
                    f"{known.stage}; give another --out"
                )
    return missing


def _identity(name: str, weights: str) -> tuple[str, ...]:
    """What a network is, wherever the file of its weights is and whatever it is called."""
    known = parse_known(name)
    return known.library, known.name, known.width, weights.rpartition(" ")[2]


def _check_weights(context: Context, network: KnownNetwork) -> None:
    known = parse_known(network.name)
    # Weights that are no longer there are not needed any more.
    if known.file and expand_home(known.file).exists() and known.weights != network.weights:
        raise UserError(
            f"{known.file}: {context.directory.path} was made with {network.weights}, this one has "
            f"the sha256 {digest_of(known.file)[:16]}: restore it, or give another --out"
        )
