"""deepstruc_hpc: from measured pair distribution functions to the structures of nanoparticles.

The names below are the programming interface. They are imported on first use, so ``import deepstruc_hpc`` needs neither torch nor ray.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepstruc_hpc.core.version import __version__

if TYPE_CHECKING:
    from deepstruc_hpc.core.curve import PdfCurve
    from deepstruc_hpc.core.structure import Structure
    from deepstruc_hpc.data.catalog_store import Catalog
    from deepstruc_hpc.data.pdf_files import read_pdf, read_pdfs
    from deepstruc_hpc.model.checkpoint import load_model
    from deepstruc_hpc.physics.debye import simulate_fq
    from deepstruc_hpc.physics.fit import fit_candidates
    from deepstruc_hpc.physics.simulate import simulate_pdf
    from deepstruc_hpc.solve.run.batch import solve

_HOMES = {
    "Catalog": "deepstruc_hpc.data.catalog_store",
    "PdfCurve": "deepstruc_hpc.core.curve",
    "Structure": "deepstruc_hpc.core.structure",
    "fit_candidates": "deepstruc_hpc.physics.fit",
    "load_model": "deepstruc_hpc.model.checkpoint",
    "read_pdf": "deepstruc_hpc.data.pdf_files",
    "read_pdfs": "deepstruc_hpc.data.pdf_files",
    "simulate_fq": "deepstruc_hpc.physics.debye",
    "simulate_pdf": "deepstruc_hpc.physics.simulate",
    "solve": "deepstruc_hpc.solve.run.batch",
}

__all__ = [
    "Catalog",
    "PdfCurve",
    "Structure",
    "__version__",
    "fit_candidates",
    "load_model",
    "read_pdf",
    "read_pdfs",
    "simulate_fq",
    "simulate_pdf",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepstruc_hpc' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
