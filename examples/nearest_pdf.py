"""A second generator: the random shapes whose simulated PDF is nearest to the measured one.

    deepstruc-hpc solve measured/ --out solved/ --elements Au --model examples/nearest_pdf.py:NearestPdf

No training and no latent space: a library of random clusters over the lattices of the CVAE, each with its PDF as the CVAE sees one. It is made at
first use (some minutes of one core) and kept in the cache folder. Where the neighbours agree, so does it: probabilities of types and of sites are
their shares. docs/generators.md has its figures beside those of the CVAE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.peaks import first_neighbour_distance
from deepstruc_hpc.core.resources import cache_dir
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.data.standard_pdf import curve_to_grid
from deepstruc_hpc.model.contract import Generator, Proposal
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import OUTLINES
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import TemplateLattice, standard_templates, template_lattice

SHAPES, SEED, RADIUS = 6000, 20260101, 6.5
"""Of the library; the radius holds every shape of at most 400 atoms, as in the CVAE's training."""
GRID = np.arange(0.7, 10.9, 0.04)
"""r over the nearest-neighbour distance: the axis of the shipped CVAE."""
CLEAN = Instrument(qmin=0.7, qmax=24.0, qdamp=0.0)
UISO, DELTA2 = 0.008, 2.0
"""Å², typical of metals at room temperature; Å², of correlated motion."""
NEAREST = 48
"""Neighbours whose shares are the probabilities."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Library:
    """Clusters and their PDFs.

    Attributes:
        pdf: (S, 2, R) standardised G and its mask.
        template: (S,) number of the lattice.
        mask: S rows of bits, the filled sites.
    """

    pdf: NDArray[np.float32]
    template: NDArray[np.int64]
    mask: NDArray[np.uint8]


class NearestPdf(Generator):
    """Proposes the nearest neighbours in the order of their distance.

    Args:
        shapes: of the library.
    """

    name = "nearest"

    def __init__(self, shapes: int = SHAPES) -> None:
        self.shapes, self.names = shapes, [template.name for template in standard_templates(RADIUS)]
        self.library = _library(shapes)

    @property
    def identity(self) -> str:
        """Of the library."""
        return f"{self.shapes} shapes of seed {SEED}"

    def propose(
        self,
        curve: PdfCurve,
        *,
        symbol: str,
        n_samples: int,
        sigma: float,
        rng: np.random.Generator,
        instrument: Instrument | None = None,
        elements: Sequence[str] = (),
    ) -> list[Proposal]:
        """The ``n_samples`` nearest; ``sigma`` and ``rng`` have no meaning here."""
        del sigma, rng, elements
        unit = first_neighbour_distance(curve, nn_distance(symbol, "twelve"))
        return [self._proposal(row, symbol, unit) for row in self._nearest(curve, symbol, instrument)[:n_samples].tolist()]

    def type_probabilities(self, curve: PdfCurve, *, symbol: str | None = None, instrument: Instrument | None = None) -> Mapping[str, float]:
        """Shares among the nearest."""
        near = self._nearest(curve, symbol or "Au", instrument)[:NEAREST]
        kinds = [self._template(int(row)).structure_type for row in near]
        found = {kind: kinds.count(kind) / len(kinds) for kind in dict.fromkeys(kinds)}
        return found | {outline: found[lattice] for outline, lattice in OUTLINES.items() if lattice in found}

    def site_odds(
        self, curve: PdfCurve, *, symbol: str, instrument: Instrument | None = None, elements: Sequence[str] = ()
    ) -> Callable[[str], Floats | None]:
        """Shares among those of the nearest that lie on the lattice, one more filled and one more empty than counted (Laplace)."""
        del elements
        near = self._nearest(curve, symbol, instrument)[:NEAREST]

        def odds(name: str) -> Floats | None:
            rows = [row for row in near.tolist() if self.names[self.library.template[row]] == name]
            if not rows:
                return None
            share = (np.sum([self._mask(row) for row in rows], axis=0) + 1.0) / (len(rows) + 2.0)
            return np.asarray(np.log(share) - np.log1p(-share))

        return odds

    def _nearest(self, curve: PdfCurve, symbol: str, instrument: Instrument | None) -> NDArray[np.intp]:
        """Rows of the library by mean squared difference over the points that both know."""
        unit = first_neighbour_distance(curve, nn_distance(symbol, "twelve"))
        given = curve_to_grid(curve, unit, GRID, qdamp=(instrument or CLEAN).qdamp)
        both = self.library.pdf[:, 1] * given[1]
        away = ((self.library.pdf[:, 0] - given[0]) ** 2 * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1.0)
        return np.argsort(away, kind="stable")

    def _template(self, row: int) -> TemplateLattice:
        return template_lattice(self.names[int(self.library.template[row])], RADIUS)

    def _mask(self, row: int) -> NDArray[np.bool_]:
        return np.unpackbits(self.library.mask[row], count=len(self._template(row))).astype(bool)

    def _proposal(self, row: int, symbol: str, unit: float) -> Proposal:
        template, mask = self._template(row), self._mask(row)
        return Proposal(template.structure(mask, symbol, unit), template=template.name, occupation=(template, mask))


def _library(shapes: int) -> Library:
    """From the cache, else made."""
    path = cache_dir() / f"nearest-pdf-{shapes}-{SEED}.npz"
    if not path.is_file():
        _write(path, shapes)
    with np.load(path) as stored:
        return Library(stored["pdf"].astype(np.float32), stored["parent"], stored["mask"])


def _write(path: Path, shapes: int) -> None:
    templates, unit = standard_templates(RADIUS), nn_distance("Au", "twelve")
    source, r = RandomShapes(templates, RandomShapeSettings()), np.arange(1.5, GRID[-1] * unit * 1.05, 0.02)
    widest = -(-max(len(template) for template in templates) // 8)
    pdf, which, masks = [], [], []
    for number in range(shapes):
        shape = source.sample(item_rng(SEED, f"shape {number}"))
        structure = templates[shape.template].structure(shape.mask, "Au", unit)
        g = simulate_pdf(structure.symbols, structure.positions, r, uiso=UISO, delta2=DELTA2, **CLEAN.model_dump())
        curve = PdfCurve(r, g)
        pdf.append(curve_to_grid(curve, first_neighbour_distance(curve, unit), GRID).astype(np.float16))
        bits = np.packbits(shape.mask)
        masks.append(np.pad(bits, (0, widest - len(bits))))
        which.append(shape.template)
    buffer = BytesIO()
    np.savez_compressed(buffer, pdf=np.stack(pdf), parent=np.array(which, dtype=np.int64), mask=np.stack(masks))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
