"""A trained model with a size head: it says how many atoms a particle has, and how sure it is, up to sizes far beyond its training's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.standard_pdf import curve_to_grid, shortest_known
from deepstruc_hpc.model.checkpoint_info import CheckpointInfo
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.generator import StructureModel
from deepstruc_hpc.model.size_reading import SizeReader
from deepstruc_hpc.physics.instrument import Instrument


class SizedModel(StructureModel):
    """Network, description and size head of a checkpoint.

    Attributes:
        sizes: reads numbers of atoms off PDFs.
    """

    def __init__(self, network: Cvae, info: CheckpointInfo, sizes: SizeReader) -> None:
        super().__init__(network, info)
        self.sizes = sizes

    def size(self, curve: PdfCurve, *, symbol: str | None = None, instrument: Instrument | None = None) -> tuple[float, float]:
        """Mean and standard deviation of ln N, of N the number of atoms.

        Args:
            curve: measured G(r), up to where the particle ends if it can be had.
            symbol: element.
            instrument: how the curve was measured, as for :meth:`StructureModel.prior`.

        Raises:
            PdfFileError: the curve covers too little of the model's axis.
        """
        answer = self.sizes.read(self._long(curve, self.nn_distance(curve, symbol), instrument))
        return float(answer.log_n[0]), float(answer.log_std[0].exp())

    def generate(self, curve: PdfCurve, *, symbol: str, instrument: Instrument | None = None) -> Structure:
        """The structure as generated, before any fit: the most probable sites of the most probable template lattice, as many as :meth:`size` says.

        Args:
            curve: measured G(r).
            symbol: element.
            instrument: as for :meth:`StructureModel.prior`.

        Raises:
            PdfFileError: the curve covers too little of the model's axis.
        """
        unit = self.nn_distance(curve, symbol)
        return self._structure(self.sizes.structures(self._long(curve, unit, instrument))[0], symbol, unit, "as generated")

    def _long(self, curve: PdfCurve, unit: float, instrument: Instrument | None) -> NDArray[np.float32]:
        qdamp = (instrument or Instrument()).qdamp
        return curve_to_grid(curve, unit, self.sizes.axis, qdamp=qdamp, rmin=float(shortest_known(np.array(unit))))[None]
