"""The catalog card: a page in the store that says what the store is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from deepstruc_hpc.catalog.query import describe
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.schema import schema_table

CARD = "README.md"
FIGURE = "structures.png"


def write_card(catalog: Catalog, *, figure: bool = False) -> None:
    """Write ``README.md`` into the store, and on demand a figure with one structure of each type.

    Raises:
        OutputError: the store cannot be written.
    """
    if figure:
        catalog.files.write({FIGURE: draw_types(catalog)})
    catalog.files.write({CARD: card_text(catalog, with_figure=figure or catalog.files.exists(FIGURE)).encode()})


def card_text(catalog: Catalog, *, with_figure: bool) -> str:
    """The card as Markdown."""
    facts = describe(catalog)
    r = facts["r"]
    lines = [
        f"# Catalog {' + '.join(facts['recipe'])}",
        "",
        *(str(recipe.get("description", "")) for recipe in catalog.manifest.recipes),
        "",
        f"{facts['n_structures']} structures ({'complete' if facts['complete'] else 'of ' + str(facts['n_planned']) + ' planned'}), "
        f"{facts['n_atoms']} atoms, {facts['n_blocks']} blocks, {facts['bytes'] / 1e6:.1f} MB. "
        f"G(r) at {r['points']} points from {r['min']:g} to {r['max']:g} Å.",
        "",
        f"- recipe hash: `{facts['recipe_hash']}`",
        f"- content hash: `{facts['content_hash']}`",
        f"- made by deepstruc_hpc {facts['code_version']}",
        "",
        *([f"![one structure of each type]({FIGURE})", ""] if with_figure else []),
        *_table("structure type", facts["by_type"]),
        *_table("element", facts["by_element"]),
        *_table("atoms", facts["by_size"]),
        "## Recipe",
        "",
        "```yaml",
        "\n---\n".join(yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True).strip() for recipe in catalog.manifest.recipes),
        "```",
        "",
        "## What is stored",
        "",
        schema_table(),
        "",
    ]
    return "\n".join(lines)


def draw_types(catalog: Catalog) -> bytes:
    """A PNG: the largest structure of each type, seen from the side, and its G(r)."""
    import io

    from matplotlib.figure import Figure

    frame = catalog.query("", ["structure_type", "n_atoms"])
    chosen = frame.sort_values("n_atoms", kind="stable").groupby("structure_type").tail(1).sort_values("structure_type").index.to_list()[:12]
    figure = Figure(figsize=(2.2 * len(chosen), 4.2), layout="constrained")
    axes = figure.subplots(2, len(chosen), squeeze=False)
    for column, number in enumerate(chosen):
        structure = catalog[number]
        depth = structure.positions[:, 2].argsort()
        top, bottom = axes[0, column], axes[1, column]
        top.scatter(
            *structure.positions[depth][:, :2].T, c=structure.positions[depth][:, 2], s=60, edgecolors="black", linewidths=0.4, cmap="YlOrBr_r"
        )
        top.set_aspect("equal")
        top.set_axis_off()
        top.set_title(f"{structure.structure_type}\n{structure.formula}", fontsize=9)
        bottom.plot(catalog.r, catalog.pdf[number], linewidth=0.7, color="black")
        bottom.set_xlabel("r (Å)", fontsize=8)
        bottom.tick_params(labelsize=7)
    axes[1, 0].set_ylabel("G (Å⁻²)", fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _table(title: str, counts: Mapping[str, Any]) -> list[str]:
    return [f"| {title} | structures |", "|---|---|", *(f"| {name} | {count} |" for name, count in counts.items()), ""]
