"""A generator by its name: a checkpoint, a model that comes with the program, or a class of a user's own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from deepstruc_hpc.core.errors import CheckpointError, TimeLimitError
from deepstruc_hpc.model.contract import Generator

OWN = re.compile(r"(?P<place>.+):(?P<name>[A-Za-z_]\w*)")
"""``FILE.py:NAME`` or ``package.module:NAME``. No path, URL or name of a model ends in this way."""
NEEDED = ("name", "identity", "decodes_elements", "prior", "propose", "type_probabilities", "site_odds", "search_space")
"""What solving asks a generator."""


def is_own(name: str) -> bool:
    """Whether a name stands for a class of a user's own, ``FILE.py:NAME`` or ``package.module:NAME``, and not for a checkpoint."""
    return OWN.fullmatch(name) is not None and not Path(name).exists()


def full_name(name: str) -> str:
    """The same name with the absolute path of its file, so that it means the same in every process."""
    found = OWN.fullmatch(name)
    if found is None or not found["place"].endswith(".py"):
        return name
    return f"{Path(found['place']).expanduser().resolve()}:{found['name']}"


def load_generator(name: str) -> Generator:
    """The generator that a name stands for.

    Args:
        name: a checkpoint's directory, a run's directory, the name of a model that comes with the program; or ``FILE.py:NAME`` or
            ``package.module:NAME``, where NAME is a class or a function that gives a generator when it is called without arguments.

    Raises:
        CheckpointError: there is none, it cannot be made, or it lacks what solving asks for.
    """
    if not is_own(name):
        return _trained(name)
    found = OWN.fullmatch(name)
    if found is None:  # pragma: no cover - is_own has asked the same
        raise ValueError(name)
    module = _module(name, found["place"])
    maker = getattr(module, found["name"], None)
    if maker is None:
        raise CheckpointError(f"{name}: {found['place']} holds no {found['name']!r}. It has {', '.join(_public(module)) or 'nothing'}.")
    made = _called(name, maker)
    missing = [word for word in NEEDED if not hasattr(made, word)]
    if missing:
        raise CheckpointError(
            f"{name}: {type(made).__name__} has no {', '.join(missing)}. Inherit from deepstruc_hpc.model.contract.Generator, which has them all but "
            "propose, or write them; see docs/generators.md."
        )
    generator: Generator = made
    return generator


def _trained(name: str) -> Generator:
    """The generator of a checkpoint: of metals, or of compounds where it was given elements in training."""
    from deepstruc_hpc.model.checkpoint import find_checkpoint, load_model, load_network, read_info
    from deepstruc_hpc.model.compound_model import CompoundModel

    directory = find_checkpoint(name)
    return CompoundModel(*load_network(directory)) if read_info(directory).model.given_elements else load_model(directory)


def own_identity(name: str) -> str:
    """What decides whether results of a user's generator still stand: its own ``identity``, and the content of the files of its name and class.

    Raises:
        CheckpointError: as :func:`load_generator`.
    """
    made = load_generator(name)
    found = OWN.fullmatch(name)
    modules = [sys.modules.get(type(made).__module__), *([_module(name, found["place"])] if found else [])]
    files = sorted({str(file) for module in modules if (file := getattr(module, "__file__", None))})
    content = hashlib.blake2b(b"".join(Path(file).read_bytes() for file in files), digest_size=8)
    return f"{made.name}:{made.identity}:{content.hexdigest()}"


def _module(name: str, place: str) -> ModuleType:
    """The module of a file or of an installed package."""
    path = Path(place).expanduser().resolve()
    if place.endswith(".py") and not path.is_file():
        raise CheckpointError(f"{name}: no file {path}. Give FILE.py:NAME with the path of a Python file.")
    try:
        return _of_file(path) if place.endswith(".py") else importlib.import_module(place)
    except TimeLimitError:
        raise
    except Exception as broken:
        raise CheckpointError(
            f"{name}: {place} cannot be imported ({type(broken).__name__}: {broken}). Mend the file, or install the package."
        ) from broken


def _of_file(path: Path) -> ModuleType:
    """A file as a module, read once in a process."""
    name = f"deepstruc_hpc_generator_{hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()}"
    if name not in sys.modules:
        loader = SourceFileLoader(name, str(path))
        spec = importlib.util.spec_from_file_location(name, path, loader=loader)
        if spec is None:
            raise ImportError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # before it runs: dataclasses look their module up
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _called(name: str, maker: Any) -> Any:
    try:
        return maker()
    except TimeLimitError:
        raise
    except Exception as broken:
        raise CheckpointError(
            f"{name}: cannot be called without arguments ({type(broken).__name__}: {broken}). NAME must be a class or a function that gives a "
            "generator."
        ) from broken


def _public(module: ModuleType) -> list[str]:
    return sorted(word for word, value in vars(module).items() if callable(value) and not word.startswith("_"))
