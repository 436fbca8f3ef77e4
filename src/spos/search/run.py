"""A search from beginning to end, or from where it was killed to the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import datetime

import optuna

from spos._util.errors import UserError
from spos.cost import Constraint
from spos.cost.model import CostModel
from spos.search.evolution import Proposal
from spos.search.feasible import Feasible
from spos.search.mirror import Mirror
from spos.search.pareto import ParetoProgress
from spos.search.progress import Progress
from spos.search.settings import DIFFERENTIABLE, SearchSettings
from spos.search.start import known_at_start, search_id
from spos.search.study import accuracies_of, distributions, trial_attributes
from spos.space import Architecture, SearchSpace

Evaluate = Callable[[Sequence[Architecture]], Iterator[tuple[Architecture, float]]]


@dataclass(frozen=True)
class Candidate:
    """An evaluated architecture of a search.

    Args:
        architecture: the architecture.
        accuracy: its one-shot accuracy.
        costs: by name; "flops" are multiply-adds.
        iteration: the iteration of the search that proposed it, from 0.
        position: in the population of the iteration, from 0.
        origin: how it came about: "random", "crossover", "mutation", "nsga2", or "known" from
            before.
    """

    architecture: Architecture
    accuracy: float
    costs: dict[str, int]
    iteration: int
    position: int
    origin: str


@dataclass(frozen=True)
class SearchResult:
    """What a search found, the same whether or not it was interrupted.

    Args:
        top: the best candidates, as many as the search has parents, best first.
        candidates: all candidates, by iteration and position.
        evaluated: how many of them were not known before the search started.
        exhausted: whether the search ended early because no further architecture is feasible.
        front: of a search for a front, the candidates that no other one is better than, the
            cheapest first; of any other search empty.
    """

    top: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    evaluated: int
    exhausted: bool
    front: tuple[Candidate, ...] = ()


def search(
    space: SearchSpace,
    table: CostModel,
    constraint: Constraint,
    evaluate: Evaluate,
    study: optuna.Study,
    settings: SearchSettings,
    *,
    on_evaluated: Callable[[Candidate, int, int], None] | None = None,
) -> SearchResult:
    """Search for the most accurate architectures within a constraint, or for a front.

    With ``pareto`` in the settings, accuracy is maximised and those costs are minimised. The study
    then has a second one beside it with all objectives, named ``NAME-front-ID``.

    Every accuracy is in the study as soon as it is known. A search that was killed, called again
    with the same arguments, evaluates what is missing and returns what it would have returned.
    Accuracies that the study knows from other searches are not evaluated again.

    Args:
        space: the search space.
        table: the costs of its architectures.
        constraint: what they may cost; every candidate satisfies it.
        evaluate: gets candidates, and yields each with its accuracy, in any order.
        study: where accuracies are kept; of this space, or new (:func:`spos.search.open_study`).
        settings: how to search.
        on_evaluated: called after each evaluation with the candidate, and how many candidates of
            the search have an accuracy, of how many in all.

    Raises:
        UserError: nothing satisfies the constraint, the study is of another space, or an
            evaluation gives no finite accuracy.

    Source: Guo et al., Algorithm 1; Deb et al., NSGA-II (2002).

    Example:
        >>> from spos.cost import CostTable
        >>> from spos.spaces.shufflenetv2 import PRESETS, shufflenetv2
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> table = CostTable(shufflenetv2(PRESETS["tiny"], classes=10, image_channels=1))
        >>> least, largest = table.range()["flops"]
        >>> constraint = Constraint(maximum={"flops": (least + largest) / 2})
        >>> result = search(
        ...     table.space,
        ...     table,
        ...     constraint,
        ...     lambda candidates: ((candidate, sum(candidate) / 12) for candidate in candidates),
        ...     optuna.create_study(direction="maximize"),
        ...     SearchSettings(population=5, iterations=3),
        ... )
        >>> len(result.candidates), result.evaluated
        (15, 15)
        >>> constraint.satisfied(result.top[0].costs)
        True
    """
    if settings.algorithm in DIFFERENTIABLE:
        raise UserError(
            f"search algorithm {settings.algorithm}: it trains weights and choice together, which "
            "a run does; allowed here: evolution, random, nsga2"
        )
    feasible = Feasible(space, table, constraint)
    known = known_at_start(study, space, settings, constraint, table)
    front = ParetoProgress(feasible, settings, known) if settings.pareto else None
    progress = front or Progress(feasible, settings, known)
    for architecture, accuracy in accuracies_of(study.get_trials(deepcopy=False), space).items():
        progress.accuracies.setdefault(architecture, accuracy)
    identity = search_id(settings, constraint, table)
    mirror = Mirror(study, space, settings, identity) if front else None

    def candidate(proposal: Proposal) -> Candidate:
        architecture = proposal.architecture
        return Candidate(
            architecture,
            progress.accuracies[architecture],
            table.cost(architecture),
            proposal.iteration,
            proposal.position,
            proposal.origin,
        )

    while pending := progress.pending():
        missing, started = len(pending), datetime.now()
        with closing(_accuracies(evaluate, pending)) as accuracies:
            for proposal, accuracy in accuracies:
                progress.accuracies[proposal.architecture] = accuracy
                evaluated = candidate(proposal)
                _record(study, space, evaluated, identity, started)
                if mirror:
                    mirror.add([evaluated])
                missing, started = missing - 1, datetime.now()
                if on_evaluated is not None:
                    on_evaluated(evaluated, len(progress.proposals) - missing, progress.total)
    candidates = tuple(map(candidate, progress.proposals))
    if mirror:
        mirror.add(candidates)
    return SearchResult(
        top=tuple(map(candidate, progress.best())),
        candidates=candidates,
        evaluated=sum(one.architecture not in progress.known for one in candidates),
        exhausted=progress.exhausted,
        front=tuple(map(candidate, front.front())) if front else (),
    )


def _accuracies(
    evaluate: Evaluate, pending: Sequence[Proposal]
) -> Generator[tuple[Proposal, float], None, None]:
    """Hold an evaluation to its contract."""
    missing = {proposal.architecture: proposal for proposal in pending}
    results = evaluate(list(missing))
    # A generator may hold the state of a model: an interruption gives it back at once.
    with closing(results) if isinstance(results, Generator) else nullcontext():
        for given, value in results:
            architecture, accuracy = Architecture(given), float(value)
            if architecture not in missing:
                raise UserError(
                    f"the evaluation yielded architecture {architecture}, which is none of the "
                    "candidates it was given, or the same one twice"
                )
            if not math.isfinite(accuracy):
                raise UserError(
                    f"the accuracy of architecture {architecture} is {accuracy}: an evaluation "
                    "must give a finite number"
                )
            yield missing.pop(architecture), accuracy
    if missing:
        raise UserError(
            f"the evaluation yielded no accuracy for {len(missing)} of {len(pending)} candidates, "
            f"the first is architecture {next(iter(missing))}"
        )


def _record(
    study: optuna.Study,
    space: SearchSpace,
    candidate: Candidate,
    identity: str,
    started: datetime,
) -> None:
    # A finished trial in one transaction, and not asked for beforehand: a kill then leaves either
    # the whole evaluation or no trace of it.
    trial = optuna.create_trial(
        params=space.names(candidate.architecture),
        distributions=distributions(space),
        value=candidate.accuracy,
        user_attrs=trial_attributes(
            candidate.architecture,
            candidate.costs,
            candidate.origin,
            iteration=candidate.iteration,
            search=identity,
        ),
    )
    trial.datetime_start = started
    study.add_trial(trial)
