"""Links of the pages that leave docs/: to a page of the site where it shows that file, else to a copy that can be downloaded.

On GitHub and in an editor ``[card](../deepstruc_hpc/model/pretrained/default/README.md)`` leads to the file. The site has no such path, so
the link is changed while the page is read; the file stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
SHOWN = {
    "CHANGELOG.md": "reference/changes",
    "CONTRIBUTING.md": "reference/contributing",
    "catalog/README.md": "reference/recipes",
    "slurm/README.md": "reference/batch-scripts",
    "deepstruc_hpc/model/pretrained/default/README.md": "reference/model-card",
}
"""Files outside docs/ that a page of the site includes, and that page."""
LINK = re.compile(r"\]\((?P<path>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")


def rewrite(app: Sphinx, docname: str, content: list[str]) -> None:
    """Change the links of one page while it is read."""
    page = Path(app.srcdir) / docname
    content[0] = LINK.sub(lambda link: _target(Path(app.srcdir), page.parent, link), content[0])


def _target(docs: Path, folder: Path, link: re.Match[str]) -> str:
    path = (folder / link["path"]).resolve()
    if not path.is_relative_to(ROOT) or path.is_relative_to(docs) or not path.exists():
        return link[0]  # a page of the site, or nothing: Sphinx itself says so
    name = path.relative_to(ROOT).as_posix()
    if name in SHOWN:
        up = "../" * len(folder.relative_to(docs).parts)
        return f"]({up}{SHOWN[name]}.md{link['anchor'] or ''})"
    return link[0]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("source-read", rewrite)
    return {"version": "1", "parallel_read_safe": True}
