"""The search loop, which can be resumed at any point, and the course of a search."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from datetime import datetime
from itertools import compress, islice

import optuna

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.cost import Constraint
from spos.cost.model import CostModel
from spos.search.adding import add_trial
from spos.search.algorithm import ALGORITHMS, Algorithm, Prior
from spos.search.candidate import Candidate, Proposal, SearchResult
from spos.search.feasible import Feasible
from spos.search.history import History
from spos.search.settings import SearchSettings, check_objectives
from spos.search.start import read_scores_at_start, search_id
from spos.search.study import Mirror, make_trial
from spos.search.trials import read_dropped, read_scores, read_trials
from spos.space import Architecture, SearchSpace

#: Draws in a row of nothing but networks that are known, after which a search has no further ones.
BARREN = 100


class Course:
    """The course of one search, a function only of its algorithm and of the scores.

    The order in which scores arrive has no effect, and known scores need no evaluation, so that a
    search that was killed resumes exactly.

    Args:
        algorithm (Algorithm): search algorithm.
        known (Mapping[Architecture, float] | None): scores known before the search was started, in
            the order in which they became known.

    Raises:
        UserError: no architecture is feasible.
    """

    def __init__(
        self, algorithm: Algorithm, known: Mapping[Architecture, float] | None = None
    ) -> None:
        self._algorithm = algorithm
        self.history = History(algorithm.feasible, algorithm.settings.pareto, known)
        #: The candidate that the population races against; None where it does not race.
        self.rival: Architecture | None = None
        self._propose(0)

    @property
    def total(self) -> int:
        """Expected number of candidates of the finished search."""
        planned = self._algorithm.population * self._algorithm.iterations
        feasible = self._algorithm.feasible.count
        return planned if feasible is None else min(planned, feasible)

    @property
    def exhausted(self) -> bool:
        """Whether the search ran out of feasible architectures."""
        return len(self.history.population) < self._algorithm.population

    def pending(self) -> list[Proposal]:
        """List the candidates to evaluate before the next population can be proposed, in order.

        Returns:
            Candidates of one population; empty if the search is finished.
        """
        history = self.history
        while True:
            missing = [p for p in history.population if p.architecture not in history.scores]
            iteration = len(history.proposals) // self._algorithm.population
            if missing or self.exhausted:
                return missing
            if iteration == self._algorithm.iterations:
                return []
            self._propose(iteration)

    def _propose(self, iteration: int) -> None:
        algorithm, history = self._algorithm, self.history
        if algorithm.settings.racing:
            # Before any score of the population is known, whatever was scored before a kill.
            self.rival = history.rival(algorithm.settings.parents)
        seen = history.seen
        asked = algorithm.propose(iteration, history)
        if not isinstance(asked, Mapping):
            raise UserError(
                f"{type(algorithm).__name__}.propose returned a {type(asked).__name__}; allowed: a "
                "mapping of architectures to what each came from"
            )
        # Option indices in any form are an architecture, and each network has one.
        canonical = algorithm.feasible.space.canonical
        proposed: dict[Architecture, str] = {}
        for one, origin in asked.items():
            proposed.setdefault(canonical(one), str(origin))
        new = [architecture for architecture in proposed if architecture not in seen]
        kept = compress(new, algorithm.feasible.satisfied(new))
        population = {one: proposed[one] for one in islice(kept, algorithm.population)}
        if algorithm.fills and len(population) < algorithm.population:
            random = generator(algorithm.settings.seed, "population", iteration)
            met, barren = seen | population.keys(), 0
            while len(population) < algorithm.population and barren < BARREN:
                wanted = algorithm.population - len(population)
                drawn = algorithm.feasible.draw(wanted, random, met)
                if not drawn:
                    break
                others = {one: "random" for one in map(canonical, drawn) if one not in met}
                population |= others
                met |= {*drawn, *others}
                barren = 0 if others else barren + 1
        history.population = [
            Proposal(architecture, iteration, position, origin)
            for position, (architecture, origin) in enumerate(population.items())
        ]
        history.proposals += history.population


#: A function of candidates that yields each with its score, in any order.
Evaluate = Callable[[Sequence[Architecture]], Iterator[tuple[Architecture, float]]]
#: A function of candidates and their rival that yields each with its score and, if it was dropped,
#: the number of images that the score is an estimate by, in any order.
EvaluateRace = Callable[
    [Sequence[Architecture], Architecture], Iterator[tuple[Architecture, float, int | None]]
]


def search(
    space: SearchSpace,
    table: CostModel,
    constraint: Constraint,
    evaluate: Evaluate,
    study: optuna.Study,
    settings: SearchSettings,
    *,
    prior: Prior | None = None,
    storage: optuna.storages.BaseStorage | None = None,
    race: EvaluateRace | None = None,
    on_evaluated: Callable[[Candidate, int, int], None] | None = None,
) -> SearchResult:
    """Search for the best architectures within a constraint, or for a front.

    Every score is stored in the study immediately. If a search is killed and called again with the
    same arguments, it evaluates only the missing candidates, and returns the same result as an
    uninterrupted search. Scores in the study from other searches are reused.

    Args:
        space (SearchSpace): search space.
        table (CostModel): costs of the architectures.
        constraint (Constraint): bounds of the costs; every candidate satisfies them.
        evaluate (Evaluate): function of candidates that yields each with its score, in any order.
        study (optuna.Study): study of the scores, of this space or new
            (:func:`spos.search.open_study`).
        settings (SearchSettings): settings of the search. With ``pareto``, the score is maximised
            and those costs are minimised.
        prior (Prior | None): option probabilities from the training of the supernet, for the
            algorithms that need them.
        storage (BaseStorage | None): storage of a second study with all objectives of a search for
            a front, named ``NAME-front-ID``, for dashboards; None for no such study.
        race (Callable | None): function of candidates and a rival, the last of the best so far,
            that yields each with its score and, if it was dropped before it was scored on all
            images, the number of images; it evaluates the later populations with
            ``settings.racing``.
        on_evaluated (Callable | None): function called after each evaluation with the candidate,
            the number of scored candidates of the search, and the number of all its candidates.

    Returns:
        The best candidates, all candidates, and the front if requested.

    Raises:
        UserError: no architecture satisfies the constraint, the study belongs to another space, the
            algorithm is unknown or does not suit the settings, a score is not finite, or candidates
            are to race without ``race``.

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
    check_objectives(settings, table.names)
    if settings.racing and race is None:
        raise UserError(f"search.racing {settings.racing}: the evaluation of a race is not given")
    algorithm = ALGORITHMS.find(settings.algorithm)(
        Feasible(space, table, constraint), settings, prior
    )
    known = read_scores_at_start(study, space, settings, constraint, table)
    course = Course(algorithm, known)
    history = course.history
    identity, trials = search_id(settings, constraint, table), read_trials(study, space)
    if settings.racing:
        # Whether others have scored a candidate meanwhile must not decide whether it is dropped.
        trials = [trial for trial in trials if trial.search == identity]
        for architecture, (score, images) in read_dropped(trials).items():
            history.scores[architecture], history.dropped[architecture] = score, images
    for architecture, score in read_scores(trials).items():
        history.scores.setdefault(architecture, score)
    mirror = None
    if settings.pareto and storage is not None:
        mirror = Mirror(storage, study.study_name, space, settings, identity)

    def candidate(proposal: Proposal) -> Candidate:
        one = proposal.architecture
        return Candidate(
            **vars(proposal),
            score=history.scores[one],
            costs=table.cost(one),
            dropped_after=history.dropped.get(one),
        )

    def evaluated(
        candidates: Sequence[Architecture],
    ) -> Iterator[tuple[Architecture, float]]:
        if course.rival is None:
            return evaluate(candidates)
        assert race is not None
        return _note_dropped(race(candidates, course.rival), history.dropped)

    while pending := course.pending():
        missing, started = len(pending), datetime.now()
        with closing(_scores(evaluated, pending)) as scores:
            for proposal, score in scores:
                history.scores[proposal.architecture] = score
                found = candidate(proposal)
                # Added as a finished trial in one transaction, so that a kill leaves either the
                # whole evaluation or no trace of it.
                trial = make_trial(space, found, identity, [score])
                trial.datetime_start = started
                add_trial(study, trial)
                if mirror:
                    mirror.add([found])
                missing, started = missing - 1, datetime.now()
                if on_evaluated is not None:
                    on_evaluated(found, len(history.proposals) - missing, course.total)
    if not history.proposals:
        raise UserError(
            f"{type(algorithm).__name__}.propose proposed no network within the limits, and its "
            "attribute fills is False: propose some, or let random ones fill the places"
        )
    candidates = tuple(map(candidate, history.proposals))
    if mirror:
        mirror.add(candidates)
    return SearchResult(
        top=tuple(map(candidate, history.top(settings.parents))),
        candidates=candidates,
        evaluated=sum(one.architecture not in history.known for one in candidates),
        exhausted=course.exhausted,
        front=tuple(map(candidate, history.front())) if settings.pareto else (),
    )


def _note_dropped(
    results: Iterator[tuple[Architecture, float, int | None]], dropped: dict[Architecture, int]
) -> Generator[tuple[Architecture, float], None, None]:
    with closing(results) if isinstance(results, Generator) else nullcontext():
        for architecture, score, images in results:
            if images is not None:
                dropped[Architecture(architecture)] = images
            yield architecture, score


def _scores(
    evaluate: Evaluate, pending: Sequence[Proposal]
) -> Generator[tuple[Proposal, float], None, None]:
    """Evaluate candidates, and check that each gets one finite score."""
    missing = {proposal.architecture: proposal for proposal in pending}
    results = evaluate(list(missing))
    if not isinstance(results, Iterable):
        raise UserError(
            f"the evaluation returned a {type(results).__name__}; allowed: pairs of a candidate "
            "and its score"
        )
    # Closed explicitly, because a generator may keep a model in a temporary state.
    with closing(results) if isinstance(results, Generator) else nullcontext():
        for result in results:
            try:
                given, value = result
                architecture, score = Architecture(given), float(value)
            except (TypeError, ValueError, RuntimeError, OverflowError):
                raise UserError(
                    f"the evaluation yielded {result!r:.80}; allowed: pairs of a candidate and its "
                    "score, a number"
                ) from None
            if architecture not in missing:
                raise UserError(
                    f"the evaluation yielded architecture {architecture}, which is not one of "
                    "its candidates, or was yielded before"
                )
            if not math.isfinite(score):
                raise UserError(
                    f"the score of architecture {architecture} is {score}: an evaluation "
                    "must give a finite number"
                )
            yield missing.pop(architecture), score
    if missing:
        raise UserError(
            f"the evaluation yielded no score for {len(missing)} of {len(pending)} candidates, "
            f"the first is architecture {next(iter(missing))}"
        )
