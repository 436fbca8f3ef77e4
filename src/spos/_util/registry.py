"""Members of one kind, each in a file of its own or in a package of somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from pkgutil import iter_modules
from typing import TypeVar

from spos._util.errors import UserError, nearest

Member = TypeVar("Member")


class Registry(MutableMapping[str, Member]):
    """What can be chosen by name: the modules of a folder, plug-ins, and what a script adds.

    A built-in member is one module of the folder, named as the member is, that registers it. A
    module whose name begins with an underscore is a helper. Another distribution adds a member by
    an entry point of the group. Names are listed without importing anything, unless a module may
    register several members.

    Args:
        kind (str): what a member is, for error messages, such as ``"training method"``.
        package (str): dotted name of the package whose modules are the members.
        group (str): entry point group of plug-ins, such as ``"spos.methods"``.
        separator (str): what stands in names where module names have an underscore.
        several (bool): whether a module registers any number of members, under any names.

    Example:
        >>> shapes = Registry("shape", "spos._util", "spos.shapes")
        >>> @shapes.register("round")
        ... class Round: ...
        >>> shapes["round"].__name__
        'Round'
        >>> shapes.find("rund")
        Traceback (most recent call last):
        ...
        spos.UserError: unknown shape 'rund': did you mean 'round'? allowed: ...
    """

    def __init__(
        self, kind: str, package: str, group: str, *, separator: str = "-", several: bool = False
    ) -> None:
        self.kind = kind
        self.group = group
        self._package = package
        self._separator = separator
        self._several = several
        self._registered: dict[str, Member] = {}

    def register(self, name: str) -> Callable[[Member], Member]:
        """Add a member under a name: a decorator, or a function to call with the member."""

        def add(member: Member) -> Member:
            self[name] = member
            return member

        return add

    @cached_property
    def _modules(self) -> dict[str, str]:
        # Found as files: importing the package could import what is being imported.
        folder = Path(__file__).parents[1].joinpath(*self._package.split(".")[1:])
        found = {
            module.name.replace("_", self._separator): f"{self._package}.{module.name}"
            for module in iter_modules([str(folder)])
            if not module.ispkg and not module.name.startswith("_")
        }
        if not self._several:
            return found
        # The names of the members are known only once the modules are imported.
        for module in found.values():
            import_module(module)
        return {}

    @property
    def built_in(self) -> tuple[str, ...]:
        """Names of the members that come with spos."""
        return tuple(self._modules)

    @cached_property
    def _plugins(self) -> dict[str, metadata.EntryPoint]:
        return {point.name: point for point in metadata.entry_points(group=self.group)}

    def find(self, name: str) -> Member:
        """The member of a name that a user gave.

        Raises:
            UserError: there is none of that name, or a plug-in cannot be imported.
        """
        modules = self._modules
        if name not in self._registered:
            if name in modules:
                import_module(modules[name])
            elif name in self._plugins:
                point = self._plugins[name]
                try:
                    self[name] = point.load()
                except Exception as error:
                    # Whatever somebody else's package raises while it is imported.
                    raise UserError(
                        f"{self.kind} '{name}' of the plug-in {point.value} cannot be imported: "
                        f"{type(error).__name__}: {error}"
                    ) from error
            else:
                raise UserError(f"unknown {self.kind} '{name}': {nearest(name, self)}")
        return self._registered[name]

    def __getitem__(self, name: str) -> Member:
        try:
            return self.find(name)
        except UserError as error:
            if name in self:
                # A plug-in that cannot be imported is there, and is named.
                raise
            raise KeyError(name) from error

    def __setitem__(self, name: str, member: Member) -> None:
        self._registered[name] = member

    def __delitem__(self, name: str) -> None:
        del self._registered[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._modules, *self._plugins, *self._registered)))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self._plugins or name in self._registered
