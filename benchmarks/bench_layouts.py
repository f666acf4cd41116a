"""Three layouts of one block beside each other: a folder with two files an array, a folder with few files, and one file.

All hold the same arrays: ``folder`` is format 1 (two files an array), ``sharded`` keeps the arrays of atoms and the PDFs as Zarr arrays (PDFs in one
shard) and puts all columns into one Parquet file, ``file`` is format 2. Processor time of this process, user and system, best of some repeats.

Run: python benchmarks/bench_layouts.py [--recipe monometallic] [--structures 3743] [--repeats 5]
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from deepstruc_hpc.catalog.blocks import make_block
from deepstruc_hpc.catalog.plan import make_plan
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.data.block_file import PDF_DATA, BlockFile, open_block, pack
from deepstruc_hpc.data.catalog_block import BlockContent, encode_block, read_block
from deepstruc_hpc.data.pdf_rows import mapped_rows
from deepstruc_hpc.data.store_files import StoreFiles

NAMES = ("structure_type", "label")
BATCH = 256


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="monometallic")
    parser.add_argument("--structures", type=int, default=3743)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    recipe = load_recipe(given.recipe, limit=given.structures).updated(block_size=given.structures)
    block = make_block(make_plan(recipe).block(0), recipe.pdf)
    print(f"{len(block)} structures, {block.pdf.shape[1]} points, {len(block.columns)} columns")
    print(
        "| layout | files | write and sync, ms | open and read one structure, ms | read all columns, ms | batch of 256 PDFs, ms |\n"
        + "|---" * 6
        + "|"
    )
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        for name in ("folder", "sharded", "file"):
            files = StoreFiles(Path(place) / name)
            layout = LAYOUTS[name](files)
            files.path.mkdir()
            steps: list[Callable[[], Any]] = [lambda held=layout: held.write(block), layout.one, layout.columns, layout.batch]
            figures = [f"{1e3 * best(step, given.repeats):.1f}" for step in steps]
            print(f"| {name} | {sum(path.is_file() for path in files.path.rglob('*'))} | {' | '.join(figures)} |", flush=True)


def best(step: Callable[[], Any], repeats: int) -> float:
    """Least processor time of a step, s."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        step()
        times.append(time.process_time() - started)
    return min(times)


class Folder:
    """Format 1."""

    def __init__(self, files: StoreFiles) -> None:
        self.files, self.path, self.rng = files, "block", np.random.default_rng(0)
        self.size = 0

    def write(self, block: BlockContent) -> None:
        """Encode, write, sync."""
        self.files.write({f"block/{name}": content for name, content in encode_block(block, {}).items()})

    def one(self) -> None:
        """From nothing open to one structure."""
        read_block(open_block(self.files, self.path, self.size), pdf=False, columns=NAMES).structure(7)

    def columns(self) -> None:
        """Every column."""
        group = open_block(self.files, self.path, self.size)["columns"]
        _ = [array[:] for _, array in group.arrays()]

    def data(self) -> tuple[Path, dict[str, Any], int, int]:
        """Where the PDFs lie."""
        folder = self.files.path / self.path
        return folder / PDF_DATA, json.loads((folder / "pdf" / "zarr.json").read_bytes()), 0, (folder / PDF_DATA).stat().st_size

    def batch(self) -> None:
        """Open and copy random rows, as a training does."""
        rows = mapped_rows(*self.data())
        assert rows is not None  # noqa: S101
        rows[self.rng.permutation(len(rows))[:BATCH]].sum()


class Sharded(Folder):
    """Few files: arrays of atoms and PDFs as Zarr, all columns in one Parquet file."""

    def write(self, block: BlockContent) -> None:
        """Encode, write, sync."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(pa.table({name: pa.array(values) for name, values in block.columns.items()}), buffer, compression="zstd")
        arrays = encode_block(BlockContent(block.positions, block.species, block.offsets, block.pdf, {}), {})
        arrays.pop("columns/zarr.json")
        parts = {**arrays, "columns.parquet": buffer.getvalue()}
        self.files.write({f"block/{name}": content for name, content in parts.items()})

    def one(self) -> None:
        """From nothing open to one structure."""
        import pyarrow.parquet as pq

        group = open_block(self.files, self.path, self.size)
        table = pq.read_table(self.files.path / "block" / "columns.parquet", columns=list(NAMES)).to_pandas()
        columns = {name: table[name].to_numpy() for name in NAMES}
        BlockContent(group["positions"][:], group["species"][:], group["offsets"][:], np.empty((0, 0), np.float32), columns).structure(7)

    def columns(self) -> None:
        """Every column."""
        import pyarrow.parquet as pq

        pq.read_table(self.files.path / "block" / "columns.parquet").to_pandas()


class OneFile(Folder):
    """Format 2."""

    def __init__(self, files: StoreFiles) -> None:
        super().__init__(files)
        self.path = "block.zarr.zip"

    def write(self, block: BlockContent) -> None:
        """Encode, write, sync."""
        packed = pack(encode_block(block, {}))
        self.files.write({self.path: packed})
        self.size = len(packed)

    def data(self) -> tuple[Path, dict[str, Any], int, int]:
        """Where the PDFs lie."""
        block = BlockFile(self.files, self.path, self.size)
        member = block.members[PDF_DATA]
        return self.files.path / self.path, json.loads(block.content("pdf/zarr.json")), member.start, member.size


LAYOUTS: dict[str, type[Folder]] = {"folder": Folder, "sharded": Sharded, "file": OneFile}

if __name__ == "__main__":
    main()
