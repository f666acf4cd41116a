"""The documentation site: Sphinx over docs/*.md (MyST), the notebooks of docs/tutorials and the docstrings. ``make docs`` builds it.

Sphinx, because its search index is a script and so works from a folder with no server, because its autodoc follows the docstrings' own markup
(``:func:`` roles), and because every broken link or anchor is a warning, and ``make docs`` counts that as an error. Nothing comes from the network.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from deepstruc_hpc.core.version import __version__  # noqa: E402

project = "deepstruc_hpc"
author = "the deepstruc_hpc developers"
copyright = "Apache-2.0"  # noqa: A001  (Sphinx's own name)
version = release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "generated_pages", "outside_links"]
exclude_patterns = ["_ext", "tutorials/tutorial-output", "**/.ipynb_checkpoints"]
suppress_warnings: list[str] = []
highlight_language = "none"

nb_execution_mode = "off"  # the outputs in the notebooks are shown; tests/docs/test_tutorials.py runs them
nb_number_source_lines = False
myst_heading_anchors = 4
smartquotes = False  # an option is --composition, with two hyphens
myst_links_external_new_tab = False

autodoc_mock_imports = ["mlflow", "optuna", "ray", "torch_geometric"]  # heavy, and nothing of theirs is shown
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say shapes and units; the signature would repeat the types
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

html_theme = "furo"
html_title = f"deepstruc_hpc {release}"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []
