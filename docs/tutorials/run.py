"""Runs the tutorials as a reader would, each from its first cell to its last, in a folder of its own.

python docs/tutorials/run.py                      # runs all, says which failed
python docs/tutorials/run.py beamline-folder --write   # and keeps what the cells printed in the notebook
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS_A_CELL = 1800
"""A cell that takes longer hangs; the longest takes some minutes on a machine that is busy with other work."""


def run(name: str, folder: Path) -> nbformat.NotebookNode:
    """Run one tutorial below a folder, where it finds ``../../examples`` and leaves its files; the notebook with what it printed.

    Raises:
        CellExecutionError: a cell failed.
    """
    place = folder / "docs" / "tutorials"
    place.mkdir(parents=True, exist_ok=True)
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"}
    client = NotebookClient(
        notebook, timeout=SECONDS_A_CELL, coalesce_streams=True, kernel_name="python3", resources={"metadata": {"path": str(place)}}
    )
    client.execute(env=environment)
    return notebook


def tidy(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook without what differs from machine to machine: paths, times of cells, progress on stderr."""
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        cell["outputs"] = [_without_paths(output, folder) for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    return notebook


def _without_paths(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        place = re.escape(str(folder.resolve() / "docs" / "tutorials"))
        return re.sub(rf"{place}/|{re.escape(str(ROOT))}/", "", re.sub(rf"{place}(?![/\w])", ".", value))
    if isinstance(value, dict):
        return nbformat.from_dict({key: entry if key == "image/png" else _without_paths(entry, folder) for key, entry in value.items()})
    return [_without_paths(entry, folder) for entry in value] if isinstance(value, list) else value


def main() -> int:
    """Run the tutorials that are named, else all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=sorted(path.stem for path in HERE.glob("*.ipynb")), help="without .ipynb")
    parser.add_argument("--write", action="store_true", help="keep the outputs in the notebook")
    options = parser.parse_args()
    failed = 0
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                notebook = run(name, Path(folder))
            except CellExecutionError as error:
                sys.stderr.write(f"{name}: {error}\n")
                failed = 1
                continue
            if options.write:
                nbformat.write(tidy(notebook, Path(folder)), HERE / f"{name}.ipynb")
            sys.stdout.write(f"{name}: every cell ran\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
