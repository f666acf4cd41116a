"""Checks that users run on what they plug in: does a generator keep the contract?

    from deepstruc_hpc.testing import check_generator
    print(check_generator("nearest.py:NearestPdf"))

Every check states a property that solving relies on, and every failure says what is missing and why it matters. All are run before the error is
raised, so one call tells everything.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.model.conformance import PROPERTIES, ContractTest, TestCurve, same_proposals
from deepstruc_hpc.model.contract import Generator, Proposal
from deepstruc_hpc.model.loading import NEEDED, full_name, load_generator
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.template_lattices import template_lattice

RADIUS = 4.0
"""Nearest-neighbour distances: holds the 147 atoms of the larger particle that curves are made of."""
PATIENCE_S = 600.0
"""Seconds that another process may take to open the generator: imports of torch on a busy machine take up to a minute."""


class ConformanceError(DeepstrucError):
    """A generator does not keep the contract; the message lists what, one line each."""


@dataclass
class Conformance:
    """What was found: one line a check.

    Attributes:
        name: of the generator.
        passed: properties that hold.
        failed: properties that do not, and why they matter.
    """

    name: str
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [*(f"ok      {line}" for line in self.passed), *(f"FAILED  {line}" for line in self.failed)]
        return "\n".join([f"{self.name}: {len(self.passed)} properties hold, {len(self.failed)} do not", *lines])


def metal_curves() -> tuple[TestCurve, ...]:
    """Simulated curves of two particles of different metals, fcc and icosahedral, without noise."""
    made = []
    for symbol, lattice, size in (("Au", "fcc atom", 55), ("Ni", "icosahedral", 147)):
        sites = template_lattice(lattice, RADIUS).sites[:size] * nn_distance(symbol, "twelve")
        instrument = Instrument(qmin=0.8, qmax=22.0, qdamp=0.03)
        r = np.arange(1.5, 24.0, 0.02)
        g = simulate_pdf([symbol] * size, sites, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.006, delta2=2.0)
        made.append(TestCurve(PdfCurve(r, g, source=f"{symbol}{size}"), symbol, (symbol,), instrument))
    return tuple(made)


def check_generator(
    generator: Generator | str, *, curves: Sequence[TestCurve] | None = None, n_samples: int = 24, clashing: float = 0.0, reopen: bool = True
) -> Conformance:
    """Check that a generator keeps the contract of :class:`~deepstruc_hpc.model.contract.Generator`.

    Args:
        generator: one, or its name: ``FILE.py:NAME``, ``package.module:NAME``, a checkpoint.
        curves: to ask about; default: :func:`metal_curves`. A generator that decodes elements needs curves of what it was made for.
        n_samples: proposals a curve.
        clashing: share of proposals that may hold two atoms impossibly close. Solving drops these; one that writes coordinates may have some.
        reopen: also ask for the same proposals in another process, as workers do. Takes some seconds.

    Returns:
        What was checked.

    Raises:
        ConformanceError: a property does not hold; every one that does not is listed.
        CheckpointError: the name stands for no generator.
    """
    name = full_name(generator) if isinstance(generator, str) else type(generator).__name__
    made: Any = load_generator(name) if isinstance(generator, str) else generator
    found = Conformance(name)
    missing = [word for word in NEEDED if not hasattr(made, word)]
    if missing:
        found.failed += [f"has no {word}: {_WHY[word]}. Inherit from deepstruc_hpc.model.contract.Generator, or write it." for word in missing]
    else:
        contract = ContractTest(made, tuple(curves or metal_curves()), n_samples, clashing)
        checks: list[tuple[str, Callable[[], Iterator[str]]]] = [(text, getattr(contract, word)) for word, text in PROPERTIES.items()]
        if reopen:
            checks.append(("another process that opens it proposes the same", lambda: _reopened(contract, generator)))
        for text, check in checks:
            _note(found, text, check)
    if found.failed:
        raise ConformanceError(str(found))
    return found


_WHY = {
    "name": "candidates.csv names the source of each structure",
    "identity": "without it a curve is not solved again when the generator has changed",
    "decodes_elements": "it decides for which samples the generator is asked, and who sets the elements",
    "prior": "the ranking records where the generator points; return two arrays of length 0 where there is no latent space",
    "propose": "there is nothing to fit without proposals",
    "type_probabilities": "they are mixed into the ranking; return {} where the generator does not say",
    "site_odds": "occupation refinement weighs each change of a site by them; return a function that gives None where nothing is known",
    "search_space": "the search for better latent points begins from it; return None where there is none",
}


def _note(found: Conformance, text: str, check: Callable[[], Iterator[str]]) -> None:
    try:
        wrong = list(check())
    except DeepstrucError as refused:
        wrong = [f"refuses: {refused}"]
    except Exception as broken:  # noqa: BLE001 - whatever a user's code raises is what the check tells
        wrong = [f"raises {type(broken).__name__}: {broken}"]
    if wrong:
        found.failed.append(f"{text}: {'; '.join(dict.fromkeys(wrong))}")
    else:
        found.passed.append(text)


def _reopened(contract: ContractTest, generator: Generator | str) -> Iterator[str]:
    """Ask the same in another process: opened by name, or from a pickle."""
    try:
        given = full_name(generator) if isinstance(generator, str) else pickle.dumps(generator)
    except Exception as refused:  # noqa: BLE001 - pickle raises whatever the object's parts raise
        yield f"cannot be pickled ({type(refused).__name__}: {refused}); so workers cannot open it; name it: check_generator('FILE.py:NAME')"
        return
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.pickle", Path(folder) / "answer.pickle"
        request.write_bytes(pickle.dumps((given, contract.curves, contract.n_samples, list(sys.path))))
        done = subprocess.run(  # noqa: S603 - this module, in this interpreter
            [sys.executable, "-m", "deepstruc_hpc.testing", str(request), str(answer)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            yield f"cannot be opened in another process ({last}). Define it in a module, not in a notebook or __main__, or give its name FILE.py:NAME"
            return
        elsewhere: list[list[Proposal]] = pickle.loads(answer.read_bytes())  # noqa: S301 - written by ourselves a moment ago
    for (test, here), there in zip(contract.all(), elsewhere, strict=True):
        if not same_proposals(here, there):
            yield f"another process proposes other structures for {test.curve.source}: something is drawn or ordered anew in each process"


def _answer(request: Path, answer: Path) -> None:
    """The other process's part of :func:`_reopened`."""
    given, curves, count, path = pickle.loads(request.read_bytes())  # noqa: S301 - written by the process that started this one
    sys.path[:] = path
    generator = load_generator(given) if isinstance(given, str) else pickle.loads(given)  # noqa: S301 - the user's own object
    contract = ContractTest(generator, curves, count, 1.0)
    answer.write_bytes(pickle.dumps([found for _, found in contract.all()]))


__all__ = ["Conformance", "ConformanceError", "TestCurve", "check_generator", "metal_curves"]

if __name__ == "__main__":
    _answer(Path(sys.argv[1]), Path(sys.argv[2]))
