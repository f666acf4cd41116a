"""Stage 3: measured PDFs → ranked structures.

The package is named like the function that it offers: ``deepstruc_hpc.solve`` is this module or :func:`deepstruc_hpc.solve.run.batch.solve`,
whichever was imported first. So the module can be called, and ``from deepstruc_hpc import solve`` is right in either case.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class _CallableModule(ModuleType):
    def __call__(self, *arguments: Any, **settings: Any) -> pd.DataFrame:
        """See :func:`deepstruc_hpc.solve.run.batch.solve`."""
        from deepstruc_hpc.solve.run.batch import solve

        return solve(*arguments, **settings)


sys.modules[__name__].__class__ = _CallableModule
