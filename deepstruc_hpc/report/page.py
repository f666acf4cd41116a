"""``index.html``: one file that shows a solved directory and opens with no network.

The page holds plotly's JavaScript once and each PDF's data as compact JSON; a section is drawn when it is opened, so that a folder of hundreds stays
quick.
"""

from __future__ import annotations

import base64
import hashlib
import html
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.report.chemiscope import FILE, write_chemiscope
from deepstruc_hpc.report.encode import pdf_document, to_json
from deepstruc_hpc.report.figures import draw_folder, save_figure, waterfall_figure
from deepstruc_hpc.report.palette import type_colours
from deepstruc_hpc.report.results import FolderResult, PdfResult, read_results
from deepstruc_hpc.report.words import count_words

PAGE = "index.html"
CURVES = ("r", "g_obs", "g_calc")


def write_report(directory: str | Path, *, figures: bool = True, chemiscope: bool = True, title: str = "") -> Path:
    """Write the report of a directory that solve filled.

    Args:
        directory: the ``--out`` of solve; only its files are read.
        figures: also draw the PNG figures that are missing (``fit.png``, ``latent.png`` of each PDF, ``waterfall.png``).
        chemiscope: also write ``chemiscope.json.gz``, for the chemiscope viewer.
        title: of the page; the directory's name where it is empty.

    Returns:
        The path of ``index.html`` in the directory.

    Raises:
        ConfigError: not such a directory.
        OutputError: it cannot be written.
    """
    results = read_results(directory)
    if figures and _draw_missing(results):
        results = read_results(directory)
    if chemiscope:
        write_chemiscope(results)
    return write_atomically(results.directory / PAGE, page_text(results, title))


def _draw_missing(results: FolderResult) -> bool:
    """Draw what is not there yet; whether anything was drawn."""
    late = [pdf for pdf in results.pdfs if _lacks(pdf, "fit.png", pdf.fit) or _lacks(pdf, "latent.png", pdf.latent)]
    for pdf in late:
        draw_folder(pdf.path)
    curves = [_curve(pdf.name, pdf.fit) for pdf in results.pdfs if pdf.status == "ok" and pdf.fit is not None and len(pdf.fit) > 1]
    if len(curves) > 1:
        save_figure(waterfall_figure(curves), results.directory / "waterfall.png")
    return bool(late)


def _curve(name: str, fit: pd.DataFrame) -> tuple[str, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    r, observed, calculated = (fit[column].to_numpy(dtype=np.float64) for column in CURVES)
    return name, r, observed, calculated


def _lacks(pdf: PdfResult, name: str, table: pd.DataFrame | None) -> bool:
    return table is not None and len(table) > 1 and name not in pdf.files


def page_text(results: FolderResult, title: str = "") -> str:
    """The page of results that were read, as HTML; ``title`` stands above it, else the directory's name."""
    documents = [pdf_document(pdf) for pdf in results.pdfs]
    types = {str(row.get("structure_type") or "") for pdf in results.pdfs for row in _rows_with_types(pdf)}
    folder = {
        "directory": title or results.directory.resolve().name,
        "rows": [
            {"name": pdf.name, **{k: v for k, v in pdf.row.items() if k != "folder"}, "words": document["words"]}
            for pdf, document in zip(results.pdfs, documents, strict=True)
        ],
        "counts": count_words((pdf.status for pdf in results.pdfs), {"ok": "solved"}),
        "fitted": [pdf.status == "ok" and document["fit"] is not None for pdf, document in zip(results.pdfs, documents, strict=True)],
        "run": results.run,
        "colours": type_colours(types),
        "chemiscope": (results.directory / FILE).is_file(),
        "series": (results.directory / "series.html").is_file(),
        "waterfall": (results.directory / "waterfall.png").is_file(),
        "version": __version__,
    }
    data = "\n".join(_script(f"pdf-{i}", to_json(document)) for i, document in enumerate(documents))
    return Template(asset("page.html")).substitute(
        title=html.escape(f"deepstruc-hpc: {folder['directory']}"),
        css=asset("page.css"),
        plotly=plotly_script(),
        folder=_script("folder", to_json(folder)),
        data=data,
        script=page_script(),
    )


def page_script() -> str:
    """The page's own JavaScript."""
    return "\n".join(asset(name) for name in ("elements.js", "atoms.js", "plots.js", "page.js"))


@lru_cache(maxsize=1)
def script_hashes() -> tuple[str, ...]:
    """Of the two scripts of ``index.html`` as they stand in it, for the ``script-src`` of a Content-Security-Policy: ``sha256-…``.

    They are made from the program's own files and not from a page, so that a script which got into a page from data has none.
    """
    scripts = (f"\n{text}\n" for text in (plotly_script(), page_script()))
    return tuple("sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)


def script_mark() -> str:
    """Which scripts a page that is written now holds: a page of other scripts has to be written again before it runs under such a policy."""
    return " ".join(script_hashes())


def _rows_with_types(pdf: PdfResult) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [{"structure_type": pdf.row.get("structure_type")}]
    for table in (pdf.types, pdf.latent, pdf.candidates):
        if table is not None and "structure_type" in table:
            rows += [{"structure_type": name} for name in table["structure_type"].dropna().unique()]
    return rows


def _script(name: str, text: str) -> str:
    return f'<script type="application/json" id="{name}">{text}</script>'


def plotly_script() -> str:
    """Plotly's JavaScript, which may stand within a script element."""
    from plotly.offline import get_plotlyjs  # 0.3 s to import, needed here alone

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def asset(name: str) -> str:
    """The text of a file of ``assets``."""
    return files("deepstruc_hpc.report").joinpath("assets", name).read_text(encoding="utf-8")
