"""Whether the files of a run agree: those of one run do, those of two put together do not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from spos._util.errors import UserError
from spos._util.settings import show_value
from spos.run.directory import RunDirectory
from spos.run.outcome import (
    CompareOutcome,
    FinalistsOutcome,
    KnownOutcome,
    Outcome,
    PredictionsOutcome,
    RetrainOutcome,
    SearchOutcome,
    ShortOutcome,
)
from spos.search.sqlite import recorded_scores
from spos.space import SearchSpace

#: Trainings beside that of the winner, by what the names of their files begin with.
_BESIDE = {
    "compare-": RetrainOutcome,
    "known-": RetrainOutcome,
    "retrain-": RetrainOutcome,
    "short-": ShortOutcome,
}


def check_agreement(
    directory: RunDirectory, space: SearchSpace, found: SearchOutcome | None, *, top1: bool
) -> None:
    """Check what the outcomes of a run say of each other.

    Args:
        directory (RunDirectory): directory of the run.
        space (SearchSpace): space of the run.
        found (SearchOutcome | None): outcome of the search, with the winner that is retrained.
        top1 (bool): whether scores on the test images are top-1 accuracies.

    Raises:
        UserError: a file disagrees with another one.
    """
    tested = _tested_beside(directory)
    retrained = directory.outcome(RetrainOutcome)
    if found is not None:
        check_settings(directory, found)
        _check_architectures(directory, space, found)
        _check_options(directory, space, found)
        _check_copies(directory, found)
        _check_scores(directory, found)
    if retrained is None:
        return
    if found is not None and retrained.architecture != str(found.winner.architecture):
        there = f"the network {found.winner.architecture}, which was found"
        raise _refusal(directory, RetrainOutcome, f"network {retrained.architecture}", there)
    compared = directory.outcome(CompareOutcome)
    if compared is not None:
        comparison = compared.comparison
        scores = {one.architecture: one.test_score for _, one in comparison.others}
        if comparison.steps is not None:
            scores[retrained.architecture] = comparison.found_test_score
        elif comparison.found_test_score != retrained.test_score:
            here = f"test score {comparison.found_test_score} of the winner"
            there = f"{retrained.test_score} in retrain.json"
            raise _refusal(directory, CompareOutcome, here, there)
        _check_tested(directory, CompareOutcome, scores, tested)
        tests = [one.test_score for one in comparison.networks]
        if tests and not math.isclose(fmean(tests), comparison.random_mean):
            here = f"mean test score {comparison.random_mean} of the random networks"
            raise _refusal(directory, CompareOutcome, here, f"{fmean(tests)} by theirs")
    known = directory.outcome(KnownOutcome)
    if known is not None and known.found_test_score != retrained.test_score:
        here = f"test score {known.found_test_score} of the winner"
        raise _refusal(directory, KnownOutcome, here, f"{retrained.test_score} in retrain.json")
    if known is not None:
        scores = {one.name: one.test_score for one in known.networks}
        _check_tested(directory, KnownOutcome, scores, tested)
    predicted = directory.outcome(PredictionsOutcome) if top1 else None
    if predicted is not None and retrained.test_score is not None:
        counts = predicted.predictions.counts
        images = sum(number for _, _, number in counts)
        correct = sum(number for true, given, number in counts if true == given)
        same = retrained.test_images in (None, images)
        if not same or correct != round(retrained.test_score * images):
            here = f"{correct} of {images} test images right"
            there = f"{retrained.test_score:.2%} of {retrained.test_images} in retrain.json"
            raise _refusal(directory, PredictionsOutcome, here, there)


def check_settings(directory: RunDirectory, found: SearchOutcome) -> None:
    """Check that a search was one with the settings of its run.

    Two runs of equal supernets that were trained alone have one name, whatever they search.

    Raises:
        UserError: it was another one.
    """
    stored = directory.read_config()
    for section, values in found.settings.items():
        for name, value in values.items():
            kept = stored.get(section, {}).get(name, value)
            if kept != value:
                here = f"{section}.{name} {show_value(value)}"
                raise _refusal(directory, SearchOutcome, here, f"{show_value(kept)} in config.yaml")


def _tested_beside(directory: RunDirectory) -> dict[tuple[str, str], float | None]:
    """Read the outcomes of all trainings beside that of the winner, also those that nothing needs.

    Returns:
        Test scores by what the name of the file begins with and the network.
    """
    tested: dict[tuple[str, str], float | None] = {}
    for path in sorted(directory.path.glob("*-*.json")):
        begins = f"{path.stem.partition('-')[0]}-"
        outcome: Any = directory.outcome(_BESIDE[begins], path.stem) if begins in _BESIDE else None
        # A link that leads nowhere is no file.
        if outcome is not None:
            tested[begins, outcome.architecture] = getattr(outcome, "test_score", None)
    return tested


def _check_tested(
    directory: RunDirectory,
    kind: type[Outcome],
    scores: Mapping[str, float],
    tested: Mapping[tuple[str, str], float | None],
) -> None:
    """Check the test scores of a comparison against the outcomes of its trainings."""
    begins = f"{kind.stage}-"
    for network, score in scores.items():
        there = tested.get((begins, network), score)
        if there != score:
            here = f"test score {score} of {network}"
            raise _refusal(directory, kind, here, f"{there} in {begins}*.json")


def _check_architectures(directory: RunDirectory, space: SearchSpace, found: SearchOutcome) -> None:
    for one in (*found.candidates, *found.top, *found.front):
        if one.architecture not in space:
            here = f"architecture {one.architecture}"
            raise _refusal(directory, SearchOutcome, here, "none of the space in config.yaml")


def _check_options(directory: RunDirectory, space: SearchSpace, found: SearchOutcome) -> None:
    """Check the names of options, which a report looks up in the space."""
    finals = directory.is_finished(FinalistsOutcome.stage)
    winners = [(found.winner, FinalistsOutcome if finals else SearchOutcome)]
    winners += [(budget.winner, SearchOutcome) for budget in found.budgets]
    for winner, kind in winners:
        if winner.architecture not in space:
            here = f"architecture {winner.architecture}"
            raise _refusal(directory, kind, here, "none of the space in config.yaml")
        names = space.names(winner.architecture)
        for options in (winner.names, *(stage.choices for stage in winner.stages)):
            for choice, option in options.items():
                if names.get(choice) != option:
                    there = f"{names.get(choice, 'none')} of {winner.architecture}"
                    raise _refusal(directory, kind, f"{choice} {option}", there)
    known = {choice.name: choice.options for choice in space.choices}
    for stage in found.stages.distinct if found.stages else ():
        for choice, option in stage.choices.items():
            if option not in known.get(choice, ()):
                there = "none of the space in config.yaml"
                raise _refusal(directory, SearchOutcome, f"{choice} {option}", there)


def _check_copies(directory: RunDirectory, found: SearchOutcome) -> None:
    """Check what is said of a candidate among the best ones against what is said among all."""
    known = {one.architecture: (one.score, one.costs) for one in found.candidates}
    for one in (*found.top, *found.front, found.winner):
        here = (one.score, one.costs)
        score, costs = known.get(one.architecture, here)
        if here != (score, costs):
            text = f"{show_value(one.costs)} and score {one.score} of {one.architecture}"
            there = f"{show_value(costs)} and score {score} among all candidates"
            raise _refusal(directory, SearchOutcome, text, there)


def _check_scores(directory: RunDirectory, found: SearchOutcome) -> None:
    """Check the scores of the candidates against the study of the run, if it has one of its own."""
    if directory.read_config().get("constraint", {}).get("storage"):
        return
    known = recorded_scores(directory.study_path)
    for one in found.candidates:
        scores = known.get(str(one.architecture), {one.score})
        if one.score not in scores:
            here = f"score {one.score} of {one.architecture}"
            there = f"{min(scores, key=str)} in study.db"
            raise _refusal(directory, SearchOutcome, here, there)


def _refusal(directory: RunDirectory, kind: type[Outcome], here: str, there: str) -> UserError:
    path: Path = directory.stage_path(kind.stage)
    return UserError(f"{path} disagrees with the rest of the run: {here}, {there}; {kind.advice}")
