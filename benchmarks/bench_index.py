"""Queries over an index of ten million rows that is made up here, by the commands of today and by the way of version 0.1.

Run: python benchmarks/bench_index.py [--rows 10000000] [--keep FOLDER]

The rows are those of small clusters in 28 elements: identifiers and fingerprints are random digits, so they compress as little as real ones do. Both
ways read the same rows. The way of 0.1: one file with a row group a block, its columns read whole into pandas, the expression evaluated there. Each
line is a process of its own, its start included; on a machine that is shared compare the processor time.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deepstruc_hpc.data.catalog_index import column_kinds, parts_of, write_block_columns, write_index
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.manifest import ROOT, BlockEntry, Manifest, create_store
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.structures.elements import METALS_OF_THE_PAPER

BLOCK = 4096
TYPES = np.array(["sc", "bcc", "fcc", "hcp", "decahedral", "icosahedral", "octahedral", "stacking_fault"], dtype=object)
FCC_GOLD = 'structure_type == "fcc" and n_atoms < 40 and elements == "Au"'
CLI = [sys.executable, "-m", "deepstruc_hpc.cli", "catalog"]
COMMANDS = (
    ("list", "--where", FCC_GOLD, "--columns", "id,n_atoms,diameter", "--limit", "5"),
    ("list", "--where", FCC_GOLD),
    ("list", "--where", "n_atoms == 55"),
    ("list", "--where", "diameter > 7 and diameter < 7.0001"),
    ("list", "--where", FCC_GOLD, "--columns", "id,formula", "--format", "csv"),
    ("sql", "select structure_type, count(*) as n, avg(diameter) as d from catalog group by all"),
    ("info",),
)
OLD = """
import sys
import pyarrow.parquet as pq
frame = pq.read_table(sys.argv[1], columns=sys.argv[3].split(",")).to_pandas()
print(frame.loc[frame.eval(sys.argv[2], engine="python")].head(50).to_string(index=False))
"""


def main() -> None:
    """Make the index, then time the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--keep", type=Path, default=None, help="where to leave the store; by default it is removed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = given.keep or Path(folder) / "made"
        if not (store / ROOT).exists():
            make(store, given.rows)
        measure(store)


def make(store: Path, rows: int) -> None:
    """A store with a manifest and an index, and the one file of version 0.1 beside it; there are no blocks."""
    files = StoreFiles(store)
    names = [f"00-{number:06d}-0" for number in range(-(-rows // BLOCK))]
    sizes = [min(BLOCK, rows - BLOCK * number) for number in range(len(names))]
    entries = {
        name: BlockEntry(name, f"blocks/{name}", size, 0, name, name, 0, {"filled": "str", "parent": "str", "radius": "float64"})
        for name, size in zip(names, sizes, strict=True)
    }
    manifest = Manifest(({"name": "made"},), "made", PdfConditions(), "0", rows, len(names), entries)
    create_store(files, manifest)
    rng = np.random.default_rng(0)
    kinds = column_kinds(entries.values())
    spent = {"blocks": 0.0, "0.1": 0.0, "parts": 0.0}
    schema = pa.schema([(name, {"str": pa.string(), "int32": pa.int32(), "float64": pa.float64()}[kind]) for name, kind in kinds.items()])
    repeating = ["structure_type", "family", "shape", "elements", "fingerprint"]
    with pq.ParquetWriter(store.parent / f"{store.name}.old", schema, compression="zstd", use_dictionary=repeating) as writer:
        for number, entry in enumerate(manifest.ordered):
            columns = made_columns(number * BLOCK, entry.n_structures, rng)
            began = time.process_time()
            write_block_columns(files, entry, columns)
            spent["blocks"] += time.process_time() - began
            began = time.process_time()
            writer.write_table(pa.table({name: columns[name] for name in kinds}, schema=schema))
            spent["0.1"] += time.process_time() - began
    began = time.process_time()
    write_index(files, manifest)
    spent["parts"] = time.process_time() - began
    size = sum((store / part.key).stat().st_size for part in parts_of(manifest))
    print(f"{rows} rows of {len(names)} blocks, {len(parts_of(manifest))} parts, {size / 1e6:.0f} MB; processor time of one core:")
    print(f"  columns of a block, by its worker {1000 * spent['blocks'] / len(names):.1f} ms; parts joined {spent['parts']:.1f} s; ")
    print(f"  one file, as in 0.1, from columns in memory {spent['0.1']:.1f} s (reading them from the blocks comes on top)")


def made_columns(first: int, rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Columns of a block: a shape in 28 elements, then the next."""
    number = np.arange(first, first + rows)
    shape = number // len(METALS_OF_THE_PAPER)
    marks = np.array([rng.bytes(16).hex() for _ in range(shape[-1] - shape[0] + 1)], dtype=object)[shape - shape[0]]
    elements = np.array(METALS_OF_THE_PAPER, dtype=object)[number % len(METALS_OF_THE_PAPER)]
    atoms = (13 + shape * 2654435761 % 48).astype(np.int32)
    types = TYPES[shape * 40503 % 7919 % 8]
    names = np.array([f"{kind} body {one}" for kind, one in zip(types, shape, strict=True)], dtype=object)
    return {
        "id": np.array([rng.bytes(8).hex() for _ in range(rows)], dtype=object),
        "structure_type": types,
        "family": np.array(["random"] * rows, dtype=object),
        "shape": names,
        "label": elements + " " + names,
        "formula": elements + atoms.astype(str).astype(object),
        "elements": elements,
        "n_atoms": atoms,
        "nn_distance": 2.4 + 0.05 * (number % 28),
        "diameter": 5.0 + 10.0 * rng.random(rows),
        "fingerprint": marks,
        "filled": marks,
        "parent": types,
        "radius": np.full(rows, 4.5),
    }


def measure(store: Path) -> None:
    """Each command as a process of its own, with the processor time of all its threads."""
    print(f"\n{'command':82} {'wall s':>7} {'cpu s':>7} {'MB':>6}")
    print_line("catalog --help (the start of the program alone)", [*CLI, "--help"])
    for name, *words in COMMANDS:
        print_line(" ".join([name, *(word if " " not in word else repr(word) for word in words)]), [*CLI, name, str(store), *words])
    old = store.parent / f"{store.name}.old"
    if old.exists():
        shown = "id,structure_type,formula,n_atoms,nn_distance,diameter,shape"
        print_line(f"0.1: list --where {FCC_GOLD!r}", [sys.executable, "-c", OLD, str(old), FCC_GOLD, f"{shown},elements"])


def print_line(title: str, command: list[str]) -> None:
    """Run a command and print what it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = wait_for(process)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{title[:82]:82} {wall:7.2f} {cpu:7.2f} {used / 1024:6.0f}" + (f"  exit {status}" if status else ""), flush=True)


def wait_for(process: subprocess.Popen[bytes]) -> tuple[int, int, int]:
    """Wait for a process: its id, exit status and largest memory (kB)."""
    import os

    pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return pid, process.returncode, usage.ru_maxrss


if __name__ == "__main__":
    main()
