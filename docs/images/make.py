"""Makes fit.png and report.png again: solves examples/compounds as the README does, and takes the picture of a fit and of the page (Chromium).

``python docs/images/make.py``, or with ``--solved DIR`` from results that are there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402

from tests.report.browser import Browser  # noqa: E402

SIZE = {"width": 1180, "height": 1500}
"""Pixels of the window: the table, and one curve with its fit and its best structures."""
DRAWING_S = 3.0
"""Seconds that the page may take from its last element to its last picture in 3-D."""


def main() -> int:
    """Solve where no results are given, then write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solved", type=Path, help="results of: deepstruc-hpc solve examples/compounds/ --out DIR")
    solved = parser.parse_args().solved
    with tempfile.TemporaryDirectory() as folder:
        if solved is None:
            solved = Path(folder) / "solved"
            subprocess.run([sys.executable, "-m", "deepstruc_hpc.cli", "solve", str(ROOT / "examples/compounds"), "--out", str(solved)], check=True)  # noqa: S603
        shutil.copy(solved / "ceria" / "fit.png", HERE / "fit.png")
        with Browser(Path(folder) / "profile") as browser:
            browser.call("/window/rect", SIZE)
            browser.open(solved / "index.html")
            browser.wait("document.readyState === 'complete' && document.querySelectorAll('canvas').length > 0")
            time.sleep(DRAWING_S)
            picture = Image.open(browser.screenshot(Path(folder) / "report.png")).convert("RGB")
            picture.quantize(256).save(HERE / "report.png", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
