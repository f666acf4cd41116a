"""``deepstruc-hpc catalog export`` and ``catalog import``: catalogs in the formats of other programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

import typer

from deepstruc_hpc.cli.catalog_store import AS_JSON, STORE
from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.core.errors import ConfigError


class FileFormat(StrEnum):
    """What ``export`` writes."""

    XYZ = "xyz"
    CIF = "cif"
    EXTXYZ = "extxyz"
    ASE = "ase"
    PARQUET = "parquet"
    OPTIMADE = "optimade"
    ROCRATE = "rocrate"


class FilesFollow(StrEnum):
    """By which division the Parquet files are train, validation and test."""

    SHAPE = "shape"
    RANDOM = "random"
    PROTOTYPE = "prototype"


_AS_FILES = "index.csv in it names each file with its columns; deepstruc-hpc solve measured/ --out solved/ --structures {out} fits each as it is."
_AS_DATASET = 'datasets.load_dataset("{out}") opens it in Python.'
NEXT = {
    FileFormat.XYZ: _AS_FILES,
    FileFormat.CIF: _AS_FILES,
    FileFormat.EXTXYZ: 'ase.io.read("{out}", ":") opens it in Python; deepstruc-hpc catalog import {out} --out NEW makes a catalog of it.',
    FileFormat.ASE: 'ase.db.connect("{out}") opens it in Python; deepstruc-hpc catalog import {out} --out NEW makes a catalog of it.',
    FileFormat.PARQUET: _AS_DATASET,
    FileFormat.OPTIMADE: "{out}.server.json beside it holds the settings of a server; docs/formats.md has the line that starts one.",
    FileFormat.ROCRATE: _AS_DATASET,
}
"""What can be done after an export."""


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``catalog``."""
    group.command("export")(export_structures)
    group.command("import")(import_structures)


def export_structures(
    store: str = STORE,
    out: Path | None = typer.Argument(None, help="A folder; for extxyz, ase and optimade also a file (.extxyz, .db, .jsonl)."),
    *,
    place: Path | None = typer.Option(None, "--out", help="The same as OUT."),
    where: str = typer.Option("", "--where", help="Expression over the columns, e.g. 'structure_type == \"fcc\" and n_atoms < 100'."),
    limit: int | None = typer.Option(None, "--limit", min=1, help="At most so many structures, the first ones."),
    file_format: FileFormat = typer.Option(FileFormat.XYZ, "--format", help="What to write; docs/formats.md says what each carries."),
    split: FilesFollow = typer.Option(FilesFollow.SHAPE, "--split", help="Which division names the Parquet files train, validation and test."),
    licence: str = typer.Option("", "--licence", help="SPDX identifier of the data's licence for formats that carry one, e.g. CC-BY-4.0."),
    author: list[str] = typer.Option([], "--author", help="An author and ORCID: 'Ada Lovelace 0000-0002-1825-0097'; may repeat."),
    as_json: bool = AS_JSON,
) -> None:
    """Write structures in a format of other programs; the same command goes on after an interruption.

    Example: deepstruc-hpc catalog export demo.zarr gold.extxyz --format extxyz --where 'elements == "Au" and n_atoms < 60'
    """
    from deepstruc_hpc.catalog.formats.export import export_catalog
    from deepstruc_hpc.catalog.formats.provenance import Provenance
    from deepstruc_hpc.data.catalog_store import Catalog

    target = out or place
    if target is None or (out is not None and place is not None):
        raise ConfigError(
            "catalog export: name once where to write, for example: deepstruc-hpc catalog export demo.zarr gold.extxyz --format extxyz "
            "(or --out gold.extxyz)."
        )
    provenance = Provenance(licence, tuple(author))
    report = export_catalog(
        Catalog.open(store), target, file_format.value, where=where, limit=limit, split=split.value, provenance=provenance, progress=True
    )
    if as_json:
        print_document(json.dumps(asdict(report), ensure_ascii=False, indent=1))
    else:
        typer.echo(f"{report.structures} structures in {report.out}, {report.written} of them written now")
        typer.echo(f"Next: {NEXT[file_format].format(out=report.out)}")


def import_structures(
    source: Path = typer.Argument(..., help="Extended XYZ with any number of frames, an ASE database, a CIF, or a folder of such files."),
    out: str = typer.Argument("", help="The catalog to make or to complete: a directory or a URL."),
    *,
    store: str = typer.Option("", "--out", help="The same as OUT."),
    pdf: str = typer.Option("", "--pdf", help="Conditions of the PDFs: this recipe's (name or YAML file). [default: the export's, or the paper's]"),
    settings: list[str] = typer.Option([], "--set", help="One condition, as in a recipe's pdf: radiation=neutron, qmax=30, rmax=50, …; may repeat."),
    structure_type: str = typer.Option("unknown", "--structure-type", help="Of structures that do not name one."),
    max_atoms: int = typer.Option(20_000, "--max-atoms", min=1, help="Larger structures are refused."),
    workers: int | None = typer.Option(None, "--workers", min=0, help="Ray actors; by default one a core. 0: in this process, without Ray."),
    as_json: bool = AS_JSON,
) -> None:
    """Make a catalog, with simulated PDFs, of structures from elsewhere; the same command goes on after an interruption.

    Structures that cannot be taken are listed in import-report.csv in the catalog; exit code 1 then.

    Example: deepstruc-hpc catalog import clusters.extxyz clusters.zarr --set qmax=22 --set rmax=40
    """
    from deepstruc_hpc.catalog.formats.import_catalog import exported_conditions, import_catalog
    from deepstruc_hpc.catalog.recipe import load_recipe
    from deepstruc_hpc.core.config import load_config
    from deepstruc_hpc.data.conditions import PdfConditions

    if bool(out) == bool(store):
        raise ConfigError(
            "catalog import: name once the catalog to make, for example: deepstruc-hpc catalog import clusters.extxyz clusters.zarr "
            "(or --out clusters.zarr)."
        )
    base = load_recipe(pdf).pdf if pdf else exported_conditions(source) or PdfConditions()
    overrides = [*(f"{key}={value}" for key, value in base.model_dump(mode="json").items()), *settings]
    conditions = load_config(PdfConditions, overrides=overrides)
    report = import_catalog(
        source, out or store, conditions=conditions, structure_type=structure_type, max_atoms=max_atoms, workers=workers, progress=True
    )
    if as_json:
        print_document(json.dumps(report.facts(), ensure_ascii=False, indent=1))
    else:
        typer.echo(f"{report.n_structures} of {report.n_found} structures in {report.store}")
    for name, reason in report.refused:
        typer.echo(f"refused: {name}: {reason}", err=True)
    if report.n_refused:
        typer.echo(f"{report.n_refused} refused, all of them in {report.report}", err=True)
        raise typer.Exit(1)
