"""What ``rtwidgets serve`` is to serve: services by name, and those in a user's own files and modules."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

from rtwidgets.errors import UsageError
from rtwidgets.server import Service
from rtwidgets.services import BUILT_IN, choose

__all__ = ["find_services"]


def find_services(targets: Sequence[str]) -> list[type[Service]]:
    """Return the services that are meant by words of the command line; the built-in ones for no word.

    Parameters
    ----------
    targets
        Each is the name of a built-in service; or ``path/to/file.py`` for all services that are defined in
        a file; or one of them as ``path/to/file.py:Name``, or as ``package.module:Name``, looked for from
        the current folder on. The code in the file is run.

    Raises
    ------
    UsageError
        When there is no such service, the file or module cannot be imported, or two have the same path.
    """
    if not targets:
        return choose(None)
    found = list(dict.fromkeys(service for target in targets for service in _find(target)))
    paths: set[str] = set()
    for service in found:
        if service.path in paths:
            raise UsageError(f"two services have the path {service.path}: leave one of them out")
        paths.add(service.path)
    return found


def _find(target: str) -> list[type[Service]]:
    if target.endswith(".py"):
        return _all_of(_import_file(target), target)
    place, _, name = target.rpartition(":")
    if not place:
        return _built_in(target)
    module = _import_file(place) if place.endswith(".py") else _import_module(place)
    service = getattr(module, name, None)
    if not _is_service(service):
        there = ", ".join(_own(module)) or "none"
        raise UsageError(f"there is no service {name!r} in {place}; there is: {there}")
    return [service]


def _built_in(name: str) -> list[type[Service]]:
    try:
        return choose([name])
    except UsageError as error:
        own = f"{name}.py" if Path(f"{name}.py").is_file() else "file.py, file.py:Name or module:Name"
        raise UsageError(f"{error}; or one of your own: {own}") from None


def _all_of(module: ModuleType, place: str) -> list[type[Service]]:
    services = list(_own(module).values())
    if not services:
        raise UsageError(
            f"there is no service in {place}: write @rt.service('/name') above a coroutine, or a subclass of "
            "rtwidgets.server.Service with a name and a path"
        )
    return services


def _own(module: ModuleType) -> dict[str, type[Service]]:
    """Return the services that a module has, by their names there, without those that it only builds on."""
    return {
        name: value
        for name, value in vars(module).items()
        if _is_service(value) and value not in BUILT_IN.values()
    }


def _is_service(value: object) -> TypeGuard[type[Service]]:
    """Whether something is a service that can be served, and no base of such."""
    return isinstance(value, type) and issubclass(value, Service) and hasattr(value, "path")


def _import_module(name: str) -> ModuleType:
    return _import(name, Path.cwd(), lambda: importlib.import_module(name))


def _import_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise UsageError(f"there is no file {place}")
    if (there := sys.modules.get(path.stem)) is not None:
        if getattr(there, "__file__", None) == str(path):
            return there
        raise UsageError(f"{place} cannot be imported: Python has a module {path.stem!r} already; rename it")
    return _import(place, path.parent, lambda: _run(path))


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # its name ends with .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # as for any import: annotations are looked up there
    spec.loader.exec_module(module)
    return module


def _import(place: str, folder: Path, load: Callable[[], ModuleType]) -> ModuleType:
    """Import something with a folder to find modules in, as ``python file.py`` has."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return load()
    except Exception as error:
        where = [
            frame for frame in traceback.extract_tb(error.__traceback__) if _inside(frame.filename, folder)
        ]
        line = f" ({Path(where[-1].filename).name}, line {where[-1].lineno})" if where else ""
        raise UsageError(f"{place} cannot be imported: {type(error).__name__}: {error}{line}") from error


def _inside(file: str, folder: Path) -> bool:
    """Whether a file is the user's own, as far as a folder tells."""
    path = Path(file)
    return path.is_relative_to(folder) and "site-packages" not in path.parts
