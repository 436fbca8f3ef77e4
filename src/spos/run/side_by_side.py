"""Independent pieces of work of a run: one after the other, or in several processes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import torch

from spos.cost.latency.backend import threads_set

#: A function of the context of a run and of an item to what the work on it yields; defined at the
#: top level of a module.
Work: TypeAlias = Callable[[Any, Any], Iterable[Any]]
_END = object()


class Workers(Protocol):
    """Carries out work on many items.

    What the work yields must not depend on the other items, nor on where it is carried out.

    Attributes:
        count (int): number of items that are worked on at the same time.
    """

    count: int

    @property
    def threads(self) -> int | None:
        """CPU threads for each; None for those of this process."""

    def map(
        self, context: Any, work: Work, items: Sequence[Any], label: str = ""
    ) -> Iterator[tuple[int, Any]]:
        """Work on items, the first ones first.

        Args:
            context (Context): the run.
            work (Work): function of the context and of an item.
            items (Sequence): the items; picklable.
            label (str): name of the work in progress reports; empty for no reports.

        Returns:
            The number of an item and a value that the work on it yields, as they come; of one item
            in their order.
        """

    def close(self) -> None:
        """End what was started."""


class Machines(Protocol):
    """Carries out one training in the processes of several machines."""

    def launch(
        self, context: Any, work: Callable[..., Any], arguments: tuple[Any, ...], folder: str
    ) -> Any:
        """Call a function in every process; see :meth:`spos.run.context.Context.launch`."""


class ThisProcess:
    """Carries out work in this process, one item after the other.

    Args:
        threads (int | None): CPU threads meanwhile; None for those of the process.

    Example:
        >>> list(ThisProcess().map(10, lambda context, item: [context + item], [1, 2]))
        [(0, 11), (1, 12)]
    """

    count = 1

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads

    def map(
        self, context: Any, work: Work, items: Sequence[Any], label: str = ""
    ) -> Iterator[tuple[int, Any]]:
        """Work on items; see :class:`Workers`."""
        for number, item in enumerate(items):
            values = iter(work(context, item))
            while True:
                with threads_set(self.threads or torch.get_num_threads()):
                    value = next(values, _END)
                if value is _END:
                    break
                yield number, value

    def close(self) -> None:
        """Nothing was started."""


class Together:
    """The progress of trainings that run at the same time, as one.

    Args:
        tell (Callable): function of the name of the work, the steps done, their number and a text.
        label (str): name of the work.
        count (int): number of trainings; those that have not begun are taken to be as long as the
            longest.

    Example:
        >>> together = Together(print, "compare", 3)
        >>> together(0, 10, 100, "loss 2.1")
        compare 10 300 loss 2.1
        >>> together(1, 50, 100, "loss 1.9")
        compare 60 300 loss 1.9
    """

    def __init__(
        self, tell: Callable[[str, int, int, str], object], label: str, count: int
    ) -> None:
        self._tell, self._label, self._count = tell, label, count
        self._done: dict[int, tuple[int, int]] = {}

    def __call__(self, number: int, done: int, total: int, detail: str) -> None:
        """Receive the progress of one of the trainings."""
        self._done[number] = done, total
        longest = max(total for _, total in self._done.values())
        begun = sum(done for done, _ in self._done.values())
        whole = sum(total for _, total in self._done.values())
        whole += longest * (self._count - len(self._done))
        self._tell(self._label, begun, whole, detail)
