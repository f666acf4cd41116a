"""Compares the shapes that the functions of ``physics`` and ``structures`` state with those that they are given and return, at every call.

``tests/conftest.py`` turns it on. A module's functions and methods are wrapped when the module is loaded, before another can take them from it. Only
hints of :mod:`deepstruc_hpc.core.shapes` are looked at; compiled functions stay as they are. Arguments are compared after the call: what a function
refuses itself, it refuses with its own words.
"""

import functools
import importlib.abc
import importlib.machinery
import inspect
import re
import sys
import types

import jaxtyping
import numpy as np
from beartype.door import is_bearable

from deepstruc_hpc.core import shapes

CHECKED = ("deepstruc_hpc.physics.", "deepstruc_hpc.structures.")
KINDS = ("Bool", "Float32", "Float64", "Int32", "Int64", "Real", "Positions", "CellVectors", "PerAtom")
_HAS_SHAPE = re.compile(rf"\b({'|'.join(KINDS)})\b")
_TAKES_LISTS = re.compile(r"\b(Numbers|PerAtom)\b")
wrapped: list[str] = []
"""Names of what is checked."""


class ShapeError(TypeError):
    """An array is not of the shape that the function states."""


def checked(function, module):
    """The function with a comparison of its shapes, or itself where it states none that can be read."""
    texts = {name: text for name, text in function.__annotations__.items() if isinstance(text, str) and _HAS_SHAPE.search(text)}
    hints = {name: eval(text, vars(module)) for name, text in texts.items()}  # noqa: S307 - the project's own source
    if not hints:
        return function
    order = tuple(name for name, one in inspect.signature(function).parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD)
    returned = hints.pop("return", None)
    takes_lists = {name for name in hints if _TAKES_LISTS.search(texts[name])}
    wrapped.append(f"{module.__name__}.{function.__qualname__}")

    @functools.wraps(function)
    def compared(*args, **kwargs):
        result = function(*args, **kwargs)
        values = {**dict(zip(order, args, strict=False)), **kwargs}
        with jaxtyping.jaxtyped("context"):
            for name, hint in hints.items():
                if name in values:
                    value = np.asarray(values[name]) if name in takes_lists and values[name] is not None else values[name]
                    _compare(function, name, value, hint)
            if returned is not None:
                _compare(function, "the result", result, returned)
        return result

    return compared


def _compare(function, name, value, hint):
    if not (isinstance(value, hint) if isinstance(hint, type) else is_bearable(value, hint)):
        shape = f"{value.dtype} {value.shape}" if hasattr(value, "shape") else type(value).__name__
        raise ShapeError(f"{function.__module__}.{function.__qualname__}: {name} is {shape}, and not {hint}")


def check_module(module):
    """Wrap what a module defines."""
    for name, member in list(vars(module).items()):
        if isinstance(member, types.FunctionType) and member.__module__ == module.__name__:
            setattr(module, name, checked(member, module))
        elif isinstance(member, type) and member.__module__ == module.__name__:
            for key, method in list(vars(member).items()):
                _check_method(member, key, method, module)


def _check_method(owner, key, method, module):
    if isinstance(method, types.FunctionType):
        setattr(owner, key, checked(method, module))
    elif isinstance(method, classmethod):
        setattr(owner, key, classmethod(checked(method.__func__, module)))
    elif isinstance(method, property) and method.fget is not None:
        setattr(owner, key, property(checked(method.fget, module), doc=method.__doc__))
    elif isinstance(method, functools.cached_property):
        method.func = checked(method.func, module)


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        super().exec_module(module)
        check_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if not name.startswith(CHECKED):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install():
    """Check every module of the two packages that is loaded from now on."""
    early = [name for name in sys.modules if name.startswith(CHECKED)]
    if early or shapes.Real is not jaxtyping.Real:
        raise RuntimeError(f"loaded before shapes are compared: {early or 'deepstruc_hpc.core.shapes'}")
    sys.meta_path.insert(0, _Finder())
