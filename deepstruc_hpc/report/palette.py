"""One colour for each structure type and each element, the same in figures and on the page."""

from __future__ import annotations

from collections.abc import Iterable

TYPE_COLOURS = {
    "fcc": "#2a6fb0",
    "octahedral": "#7fb2dd",
    "stacking_fault": "#1f9a9a",
    "hcp": "#7d559f",
    "bcc": "#c98a1b",
    "sc": "#8a8f98",
    "decahedral": "#c0443a",
    "icosahedral": "#3d9653",
}
_OTHERS = ("#b0578d", "#5c6f2d", "#9a5b2e", "#3b4f8a", "#7a7a2a", "#a33f6d", "#417a73", "#6b4c9a")
PHASE_COLOURS = ("#2a6fb0", "#c98a1b", "#3d9653", "#c0443a", "#7d559f", "#1f9a9a", "#8a8f98")
"""Of the phases of a series, the largest first."""
DATA, CALCULATED, DIFFERENCE, TERM = "#1f2937", "#c0443a", "#5f7f63", "#2a6fb0"


def type_colours(types: Iterable[str]) -> dict[str, str]:
    """A colour for each name: the fixed ones, then others in the order of the alphabet."""
    names = sorted({name for name in types if name})
    rest = [name for name in names if name not in TYPE_COLOURS]
    extra = {name: _OTHERS[i % len(_OTHERS)] for i, name in enumerate(rest)}
    return {name: TYPE_COLOURS.get(name) or extra[name] for name in names}
