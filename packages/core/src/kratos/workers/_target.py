"""How workers find the factory that a program passed to ``run``: by name, never by its bytes."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from typing import Any, Final, cast

from kratos.errors import ConfigError

__all__ = ["load", "name_of_factory"]

_DEFAULT: Final = "build"
_REMEDY: Final = "workers call it by its name: define it with def at the top level of a module"


def name_of_factory(build: Callable[..., Any], /) -> str:
    """Return ``module:name`` or ``/path/file.py:name`` under which another process finds it.

    Raises:
        ConfigError: There is none; says what to do.
    """
    module = str(getattr(build, "__module__", ""))
    name = str(getattr(build, "__qualname__", ""))
    if not module or not name or "<" in name:
        raise ConfigError(f"build={build!r} has no name: {_REMEDY}")
    home = sys.modules.get(module)
    try:
        found = _attribute(home, name)
    except AttributeError:
        found = None
    if found != build:
        raise ConfigError(f"build={build!r} is not what {module}.{name} stands for: {_REMEDY}")
    return f"{_importable() if module == '__main__' else module}:{name}"


def load(target: str, /) -> Callable[[], Any]:
    """Import ``module:name`` or ``path/file.py:name``; the name is ``build`` if left out.

    A file is imported under its own name, with its folder first on ``sys.path``, as Python
    itself runs it; but its ``__name__`` is not ``__main__``.

    Raises:
        ConfigError: There is no such module, or nothing of that name in it.
        Exception: What the module raises.
    """
    where, _, name = target.rpartition(":") if ":" in target else (target, "", _DEFAULT)
    if not where or not name:
        raise ConfigError(f"{target!r} is no factory; write module:build or path/service.py:build")
    if where.startswith(".") and not where.endswith(".py"):
        raise ConfigError(f"{target!r} begins with a dot: write the whole name of the module")
    module = _import_file(Path(where)) if where.endswith(".py") else _import_module(where)
    try:
        found = _attribute(module, name)
    except AttributeError as error:
        close = get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{target!r}: there is no {name} in {where}{hint}") from error
    if not callable(found):
        raise ConfigError(f"{target!r} is no function that returns an App, but {found!r}")
    return cast("Callable[[], Any]", found)


def _importable() -> str:
    """Return how another process imports what is ``__main__`` here."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":  # python -m package.service
        return str(spec.name)
    file = getattr(main, "__file__", None)
    if file is None:  # an interactive session, python -c, standard input
        raise ConfigError(
            "build is defined where no file is, so that workers cannot import it: "
            "put it into a module, and run that"
        )
    path = Path(str(file)).absolute()
    if path.suffix != ".py" or not path.is_file():  # a .pyz, for instance
        raise ConfigError(
            f"build is defined in {path}, which is no .py file that workers could import: "
            "put it into a module, and import it from there"
        )
    return str(path)


def _attribute(module: object, name: str) -> Any:
    return reduce(getattr, name.split("."), module)


def _import_module(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
        places = ", ".join(place or "the current folder" for place in sys.path)
        raise ConfigError(
            f"there is no module {name!r}; it is looked for in {places or 'no folder'}"
        ) from error


def _import_file(path: Path) -> object:
    path = path.absolute()
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    # So that another module which imports it by its name gets the same one.
    name = path.stem
    if name in sys.modules or not name.isidentifier():
        name = "__kratos_main__"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "its name ends with .py"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
