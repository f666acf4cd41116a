"""Small recipes and stores for the tests."""

from deepstruc_hpc.catalog.recipe import Recipe
from deepstruc_hpc.data.conditions import PdfConditions

SEVEN = ("octahedral", "icosahedral", "decahedral", "sc", "bcc", "fcc", "hcp")
COARSE = PdfConditions(rmin=1.0, rmax=12.0, rstep=0.1, qmax=18.0)


def small_recipe(**changes):
    """Sixteen structures of four families in blocks of five, on a coarse grid."""
    values = {
        "name": "small",
        "elements": ("Au", "Pt"),
        "max_atoms": 30,
        "families": ("octahedral", "icosahedral", "sc", "fcc"),
        "block_size": 5,
        "pdf": COARSE,
    }
    return Recipe(**{**values, **changes})
