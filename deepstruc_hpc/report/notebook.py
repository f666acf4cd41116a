"""The report within a notebook: the page that ``solve`` writes, in a frame of its own."""

from __future__ import annotations

import html
from pathlib import Path

from deepstruc_hpc.report.page import PAGE, page_text, write_report
from deepstruc_hpc.report.results import read_results

HEIGHT = 900
"""Pixels of the frame: the table, a fit and the first structures of a page."""
_FRAME = (
    '<iframe title="{title}" srcdoc="{page}" sandbox="allow-scripts allow-popups" '
    'style="width:100%;height:{height}px;border:1px solid #d5dae1;border-radius:6px"></iframe>'
)
_ELSEWHERE = "<style>.links, .view .get, p.files { display: none; }</style>"
"""Links of the page lead to files beside it, which a notebook cannot reach; their directory is named below the frame."""


class PageView:
    """What a notebook shows as the last value of a cell.

    Attributes:
        directory: of the results, with ``index.html`` in it.
        height: pixels of the frame.
    """

    def __init__(self, directory: Path, height: int = HEIGHT) -> None:
        self.directory, self.height = directory, height
        self._page = page_text(read_results(directory))

    def _repr_html_(self) -> str:
        """The page in a frame: its scripts run there alone, without access to the notebook."""
        page = html.escape(self._page.replace("</head>", f"{_ELSEWHERE}</head>", 1), quote=True)
        frame = _FRAME.format(title=html.escape(f"Report of {self.directory.name}"), page=page, height=self.height)
        return f"{frame}<div>Files: {html.escape(str(self.directory))}</div>"

    def __repr__(self) -> str:
        return f"report of {self.directory}: open {self.directory / PAGE}, or show it in a notebook"


def show(directory: str | Path, *, height: int = HEIGHT) -> PageView:
    """Write the report of a directory of results, and give what a notebook shows.

    Args:
        directory: the output of :func:`deepstruc_hpc.solve`.
        height: pixels of the frame.

    Raises:
        ConfigError: not such a directory. OutputError: it cannot be written.
    """
    base = Path(directory).expanduser().resolve()
    write_report(base)
    return PageView(base, height)
