"""The stages of a run: each a function of the configuration and of the run directory."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import chain

import torch
from optuna.exceptions import StorageInternalError

from spos._util.errors import UserError
from spos._util.interrupt import deferred_interrupt
from spos._util.randomness import generator
from spos.cost import Constraint, CostModel
from spos.cost.cost import COSTS
from spos.nn.supernet import Supernet
from spos.run.agreement import check_settings
from spos.run.context import Context
from spos.run.differentiable import prepare_theta_training, read_prior
from spos.run.finalists import finalists_stage, read_found
from spos.run.fingerprint import evaluation_fingerprint
from spos.run.fit import fit, retrain_all, train_side_by_side
from spos.run.initial import begin
from spos.run.network import load_checkpoint, read_train_outcome
from spos.run.outcome import RetrainOutcome, SearchOutcome, TrainOutcome
from spos.run.recorder import stopwatch, timed
from spos.run.scoring import Scorer
from spos.run.search_outcome import decisive_settings, make_search_outcome
from spos.search import Candidate, Feasible, SearchResult, open_storage, open_study, search
from spos.search.settings import check_objectives
from spos.search.study import close_storage, storage_reason
from spos.space import Architecture
from spos.training.method import method_class


def train_stage(context: Context) -> TrainOutcome:
    """Train the supernets by the method of the run, or resume their training."""
    done = read_train_outcome(context)
    if done is not None:
        return done
    recipe, method = context.config.supernet, method_class(context.method)
    seconds = _train_supernets(context)
    label = getattr(method, "label", "") or recipe.method
    outcome = TrainOutcome(steps=recipe.steps, method=recipe.method, label=label, seconds=seconds)
    return context.directory.finish(outcome)


def _train_supernets(context: Context) -> float:
    folders = context.config.supernet.folders
    if len(folders) == 1:
        return float(context.launch(_train_supernet, 0, folder=folders[0]))
    items = {folder: (member,) for member, folder in enumerate(folders)}
    with timed(context.directory, TrainOutcome.stage) as watch:
        trained = train_side_by_side(context, _train_supernet, items, "train", several=True)
        spent = [float(seconds) for _, seconds in trained]
    # Attempts that were killed are known to the trainings alone.
    return max(watch.seconds, *spent)


def _train_supernet(context: Context, member: int) -> float:
    recipe, method, images = context.config.supernet, context.method, context.data.train
    folder, seed, label = recipe.folders[member], context.config.run.seed, None
    if recipe.members > 1:
        label = f"train {member + 1} of {recipe.members}"
    if member:
        seed = int(generator(seed, "member", member).integers(1 << 31))
    supernet = context.supernet(seed=seed)
    begin(context, supernet, "supernet", folder, not member)
    if context.config.required_method:
        method, images = prepare_theta_training(context, supernet)
    else:
        _check_reachable(context, context.costs(supernet))
    stage = folder if member else TrainOutcome.stage
    return fit(context, supernet, recipe, images, stage, method=method, seed=seed, label=label)


def _check_reachable(context: Context, table: CostModel) -> None:
    """Check that some network satisfies the constraint, and that the objectives exist."""
    config = context.config
    check_objectives(config.search, table.names)
    for constraint in config.constraint.constraints:
        Feasible(table.space, table, constraint).draw(1, generator(config.run.seed, "reachable"))


def search_stage(context: Context) -> SearchOutcome:
    """Search the trained supernet, or resume the search.

    Raises:
        UserError: the supernet is not trained, no network satisfies the constraint, or the study of
            an interrupted search is missing.
    """
    done = context.directory.outcome(SearchOutcome)
    if done is not None and not context.directory.extended:
        check_settings(context.directory, done)
        _check_own_costs(context, done)
        return done
    config, directory = context.config, context.directory
    supernet, tensors = load_checkpoint(context)
    table = context.costs(supernet)
    _check_reachable(context, table)
    prior, more = read_prior(config, supernet, tensors, table)
    watch = stopwatch(directory, SearchOutcome.stage)
    if watch.before and not config.constraint.storage and not directory.study_path.exists():
        raise UserError(
            f"{directory.study_path} is missing although the search was started: restore it, "
            f"or delete {watch.path} to search from scratch"
        )
    context.freeze()
    if not watch.before:
        several = (one.without_effect(table) for one in config.constraint.constraints)
        for text in dict.fromkeys(chain.from_iterable(several)):
            context.listener.message(text)
    scorer = Scorer(context, supernet, recorded=True)
    name = f"spos-{evaluation_fingerprint(context, scorer.supernets)}"
    place = config.constraint.storage or str(directory.study_path)
    storage = open_storage(place)
    study = open_study(storage, name, supernet.space)
    others = [one for one in storage.get_all_studies() if not one.study_name.startswith(name)]
    # A storage of one's own may be for many runs.
    if others and not config.constraint.storage and not study.get_trials(deepcopy=False):
        context.listener.message(
            f"{directory.study_path} has the evaluations of another search, and none of this one"
        )
    constraints = config.constraint.constraints
    found: list[tuple[Constraint, SearchResult]] = []
    best = -math.inf
    with deferred_interrupt() as interrupt:

        def race(
            architectures: Sequence[Architecture], rival: Architecture | None
        ) -> Generator[tuple[Architecture, float, int | None], None, None]:
            nonlocal best
            for architecture, score, images in scorer.race(architectures, rival):
                best = best if images else max(best, score)
                yield architecture, score, images
                if interrupt.requested:
                    raise KeyboardInterrupt

        def evaluate(architectures: Sequence[Architecture]) -> Iterator[tuple[Architecture, float]]:
            with closing(race(architectures, None)) as results:
                for architecture, score, _ in results:
                    yield architecture, score

        def told(candidate: Candidate, count: int, total: int) -> None:
            watch.record()
            measure = context.fitness.measure
            scores = f"{measure.show(candidate.score)}  best {measure.show(best)}"
            within = f"  {constraint}" if len(constraints) > 1 else ""
            done = sum(len(result.candidates) for _, result in found)
            # The searches for further budgets are assumed to be as long as this one.
            left = total * (len(constraints) - len(found))
            text = f"{measure.name} {scores}{within}"
            context.listener.progress("search", done + count, done + left, text)

        try:
            for constraint in constraints:
                result = search(
                    supernet.space,
                    table,
                    constraint,
                    evaluate,
                    study,
                    config.search,
                    prior=prior,
                    storage=storage,
                    race=race,
                    on_evaluated=told,
                )
                result = _with_metric(context, supernet, result)
                found.append((constraint, result))
        except StorageInternalError as error:
            reason = storage_reason(error.__cause__ or error)
            raise UserError(f"{place} cannot be written: {reason}") from error
    outcome = make_search_outcome(found, table, study, config.search, seconds=watch.seconds, **more)
    close_storage(storage)
    kept = directory.finish(replace(outcome, settings=decisive_settings(config)))
    if interrupt.requested:
        # It came with the last candidate.
        raise KeyboardInterrupt
    return kept


def _check_own_costs(context: Context, found: SearchOutcome) -> None:
    """Check that the winner costs what it did, by costs of the user's own: counters may be edited.

    Raises:
        UserError: a cost is another one.
    """
    own = [name for name in context.config.costs if name in COSTS and name not in COSTS.built_in]
    if not own:
        return
    _ = context.data  # Its pixels are not to be on the meta device.
    with torch.device("meta"):
        supernet = context.supernet()
    costs = context.costs(supernet, eager=False).cost(found.winner.architecture)
    for name in own:
        if costs[name] != found.winner.costs.get(name, costs[name]):
            raise UserError(
                f"{context.directory.path} was searched with another counter of the cost {name}, "
                f"by which the winner has {found.winner.costs[name]}, and not {costs[name]}: give "
                "the same, or another --out"
            )


def _with_metric(context: Context, supernet: Supernet, result: SearchResult) -> SearchResult:
    """Evaluate the best candidates by the metric of the run, where the fitness is another one."""
    if context.fitness.by_metric:
        return result
    scorer = Scorer(context, supernet, "metric")
    scores = dict(scorer([candidate.architecture for candidate in result.top]))
    top = (replace(one, metric_score=scores[one.architecture]) for one in result.top)
    return replace(result, top=tuple(top))


def retrain_stage(context: Context) -> RetrainOutcome:
    """Train the winner, or a network given by name, and test it once.

    With several budgets, the network found for each of them is trained in the same way, as networks
    are that are to be trained at the same time.

    Raises:
        UserError: the run has neither a search result nor a network by name.
    """
    named, found = context.config.network.name, read_found(context.directory)
    if named:
        stage = RetrainOutcome.stage
        return retrain_all(context, {stage: named}, stage)[stage]
    done = context.directory.outcome(RetrainOutcome)
    if done is not None and not (found and found.budgets):
        return done
    if found is None:
        raise UserError(f"{context.directory.path} has no search result: run spos search first")
    if finalists_stage(context) is not None:
        found = read_found(context.directory)
        assert found is not None, "the finalists are the best candidates of a search"
    beside = context.beside(context) if context.beside else {}
    networks = {stage: text for text, stage in found.retrainings.items()} | {**beside}
    finished = all(map(context.directory.is_finished, networks))
    with nullcontext() if finished else timed(context.directory, RetrainOutcome.stage):
        return next(iter(retrain_all(context, networks, "retrain").values()))
