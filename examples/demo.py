"""The main job from end to end on a small scale: ``make demo``.

Builds the demo catalog, trains the CVAE on it for half a minute with two Ray Train workers (to show the step: a useful model takes hours), then
solves the example PDFs with the model and the catalog that come with the program and prints what was found beside what is true. Each step is one
``deepstruc-hpc`` command, printed before it runs, so that it can be typed by hand.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

EXAMPLES = Path(__file__).resolve().parent
FCC_CRYSTALS = {"fcc", "octahedral"}  # a (truncated) octahedron is cut from the fcc crystal: the PDF sees one structure type


def main() -> int:
    """Run the steps; the exit code of the first that fails, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder of everything that the demo makes")
    parser.add_argument("--minutes", type=float, default=0.5, help="training time, from the first step")
    parser.add_argument("--workers", type=int, default=2, help="Ray workers of each step")
    options = parser.parse_args()
    out, workers = options.out, str(options.workers)
    started = time.monotonic()
    training = ["--config", "demo", "--workers", workers, "--resume", "--set", f"max_minutes={options.minutes:g}"]
    training += ["--set", "samples_per_epoch=4096"]  # short epochs: one sees it learn
    steps = (
        ("1/3  catalog: one of your own", ["catalog", "build", "demo", "--out", f"{out}/catalog.zarr", "--workers", workers]),
        ("2/3  training: a short one on it", ["train", f"{out}/catalog.zarr", "--out", f"{out}/run", *training]),
        (
            "3/3  solving, with the model and the catalog of the program",
            ["solve", f"{EXAMPLES}/pdfs", "--out", f"{out}/solved", "--workers", workers],
        ),
    )
    for title, words in steps:
        step_started = time.monotonic()
        print(f"\n{title}\n$ deepstruc-hpc {shlex.join(words)}", flush=True)
        code = subprocess.call([sys.executable, "-m", "deepstruc_hpc.cli", *words])
        if code:
            return code
        if words[0] == "train":
            print(what_was_learned(out / "run" / "epochs.jsonl"))
        print(f"({time.monotonic() - step_started:.0f} s)", flush=True)
    print_table(pd.read_csv(out / "solved" / "summary.csv"), pd.read_csv(EXAMPLES / "truth" / "truth.csv"))
    print(f"\nDone in {time.monotonic() - started:.0f} s. Open in a browser:\n  {(out / 'solved' / 'index.html').resolve()}")
    print(f"The training's curves, latent map and reconstructions:\n  {(out / 'run').resolve()}/learning.png, latent.png, reconstructions.png")
    print(f"To solve with what was trained here instead: add --model {out}/run --catalog {out}/catalog.zarr")
    return 0


def what_was_learned(epochs: Path) -> str:
    """The first and the last epoch of a training in one line."""
    lines = [json.loads(line) for line in epochs.read_text(encoding="utf-8").splitlines()]
    first, last = lines[0], lines[-1]
    return (
        f"structures that it was not trained on, epoch {first['epoch']:.0f} -> {last['epoch']:.0f}: loss {first['val_loss']:.3f} -> "
        f"{last['val_loss']:.3f}, structure type right {first['val_type_exact']:.0%} -> {last['val_type_exact']:.0%}"
    )


def print_table(found: pd.DataFrame, truth: pd.DataFrame) -> None:
    """What was found beside what is true."""
    found = found.assign(file=found["file"].map(lambda path: Path(path).name))
    table = truth.merge(found, on="file", suffixes=("_true", "_found"))
    print(f"\n{'file':<34}{'true':>15}{'atoms':>7}   {'found':<15}{'atoms':>6}{'Rw':>8}{'prob.':>7}")
    right = 0
    for row in table.itertuples():
        same = row.structure_type_found == row.structure_type_true or {row.structure_type_found, row.structure_type_true} <= FCC_CRYSTALS
        right += same
        atoms = f"{row.n_atoms_found:.0f}" if pd.notna(row.n_atoms_found) else "-"
        print(
            f"{row.file:<34}{row.structure_type_true:>15}{row.n_atoms_true:>7}   {row.structure_type_found!s:<15}{atoms:>6}{row.rw:>8.3f}"
            f"{row.probability:>7.2f}  {'' if same else '<- another type'}"
        )
    print(f"structure type right: {right} of {len(truth)} (a truncated octahedron counts as the fcc crystal that it is)")


if __name__ == "__main__":
    sys.exit(main())
