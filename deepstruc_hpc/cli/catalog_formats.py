"""``deepstruc-hpc catalog export`` and ``catalog import``: catalogs in the formats of other programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

import typer

from deepstruc_hpc.cli.document import print_document

AS_JSON = typer.Option(False, "--json", help="One JSON document on stdout.")


class FileFormat(StrEnum):
    """What ``export`` writes."""

    XYZ = "xyz"
    CIF = "cif"
    EXTXYZ = "extxyz"
    ASE = "ase"
    PARQUET = "parquet"


class FilesFollow(StrEnum):
    """By which division the Parquet files are train, validation and test."""

    SHAPE = "shape"
    RANDOM = "random"


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``catalog``."""
    group.command("export")(export_structures)


def export_structures(
    store: str = typer.Argument(..., help="The catalog: a directory, or a URL such as s3://bucket/catalog."),
    out: Path = typer.Argument(..., help="A folder (xyz, cif, parquet) or a file (extxyz: .extxyz; ase: .db or .aselmdb)."),
    *,
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

    provenance = Provenance(licence, tuple(author))
    report = export_catalog(
        Catalog.open(store), out, file_format.value, where=where, limit=limit, split=split.value, provenance=provenance, progress=True
    )
    if as_json:
        print_document(json.dumps(asdict(report), ensure_ascii=False, indent=1))
    else:
        typer.echo(f"{report.structures} structures in {report.out}, {report.written} of them written now")
