"""The options of ``deepstruc-hpc solve``, by purpose. The first paragraph of a help is what ``--help`` prints; the reference has the others, too."""

from __future__ import annotations

import typer

from deepstruc_hpc.cli.catalog_store import existing_or_named

FIRST = "What most calls need"
SAMPLE = "The sample"
MEASUREMENT = "The measurement (Å and Å⁻¹)"
CANDIDATES = "Candidates"
RUN = "Files, speed and size"
SERIES = "Series, and files that arrive"
OUTPUT = "Output"
EXPERT = "Expert"

PATHS = typer.Argument(
    None, metavar="PATH…", help="Files of G(r) (text, HDF5/NeXus), folders, globs, @LIST.\n\na.h5::/entry/pdf is a place in a file; @NAME a list."
)
OUT = typer.Option(
    None, "--out", "-o", rich_help_panel=FIRST, help="Folder of the results.\n\nWhat is solved there with the same settings is not solved again."
)
COMPOSITION = typer.Option(
    None, "--composition", rich_help_panel=FIRST, help="Formula: CeO2, Pt3Ni, 'Au144 S60'; or in the header.\n\nDefault: from the header."
)
ELEMENTS = typer.Option(
    None, "--elements", rich_help_panel=FIRST, help="Or its elements alone: Au, or Ce,O.\n\nDefault: from --composition, else from the header."
)
INSTRUMENT = typer.Option(
    None, "--instrument", rich_help_panel=FIRST, help="Profile that calibrate wrote of a calibrant.\n\nOptions win over what it holds."
)
QDAMP = typer.Option(
    None, "--qdamp", rich_help_panel=FIRST, help="Å⁻¹, of a calibrant. [default: 0.03]\n\nFrom --instrument, else the header, else the default."
)
QMAX = typer.Option(None, "--qmax", rich_help_panel=FIRST, help="Å⁻¹. [default: the header's, else 25]\n\nFrom the header, else --instrument.")
RMAX = typer.Option(None, "--rmax", rich_help_panel=FIRST, help="Å. [default: the end of the data, ≤ 30]\n\nAt most 30 where not given.")
CRYSTALS = typer.Option(
    None, "--crystals", rich_help_panel=FIRST, help="CIFs to try, too: a file or folder; may repeat.\n\nThey are tried beside the known types."
)
WORKERS = typer.Option(
    None,
    "--workers",
    min=0,
    rich_help_panel=FIRST,
    help="Files at a time. [default: one a core]\n\nThey are Ray actors. Up to 4 files are solved in this process, as with 0.",
)
FORCE = typer.Option(False, "--force", rich_help_panel=FIRST, help="Solve again what was solved before.")

SAMPLE_KIND = typer.Option(
    None,
    "--sample",
    metavar="KIND",
    rich_help_panel=SAMPLE,
    help="metal, alloy, compound, cluster, ligands, support.\n\nDefault: from its elements and amounts.",
)
MIXTURES = typer.Option(
    None, "--mixtures/--no-mixtures", rich_help_panel=SAMPLE, help="Try two phases, and several sizes. [default: no]\n\nThe sizes are of one type."
)

RADIATION = typer.Option(
    None, "--radiation", rich_help_panel=MEASUREMENT, help="xray or neutron.\n\nDefault: from --instrument, else the header, else xray."
)
RMIN = typer.Option(None, "--rmin", rich_help_panel=MEASUREMENT, help="Å. [default: 2]")
QMIN = typer.Option(None, "--qmin", rich_help_panel=MEASUREMENT, help="Å⁻¹. [default: the header's, else 0.7]\n\nFrom the header, else --instrument.")
QBROAD = typer.Option(
    None, "--qbroad", rich_help_panel=MEASUREMENT, help="Å⁻¹, of a calibrant. [default: 0]\n\nFrom --instrument, else the header, else the default."
)
LOW_Q = typer.Option(
    None, "--low-q", min=0, rich_help_panel=MEASUREMENT, help="Å⁻¹; Q below is left out. [default: 1.2]\n\nOf data and model; 0: nothing is."
)

MODEL = typer.Option(
    None,
    "--model",
    rich_help_panel=CANDIDATES,
    help="Checkpoint or training. [default: the program's]\n\nOr FILE.py:NAME, a generator of your own.",
)
CATALOG = typer.Option(
    None,
    "--catalog",
    callback=existing_or_named,
    rich_help_panel=CANDIDATES,
    help="Catalog, or a recipe's name. [default: compact]\n\nA recipe (extended, shapes) is built once into the cache; compact needs no build.",
)
STRUCTURES = typer.Option(
    None,
    "--structures",
    rich_help_panel=CANDIDATES,
    help="XYZ, CIF or folders, fitted as they are.\n\nClusters, molecules, your own models. May be given several times.",
)
STRUCTURES_SIZES = typer.Option(
    None, "--structures-sizes/--no-structures-sizes", rich_help_panel=CANDIDATES, help="Their inner parts, too. [default: no]"
)
SOURCES = typer.Option(
    None,
    "--sources",
    rich_help_panel=CANDIDATES,
    help="Where they come from. [default: all]\n\nJoined by commas. All: cvae, catalog, large, crystals, alloys, structures.",
)
SAMPLES = typer.Option(
    None, "--samples", min=0, rich_help_panel=CANDIDATES, help="Structures of the model. [default: 1000]\n\nThat the model (CVAE) proposes for a PDF."
)
SIGMA = typer.Option(
    None,
    "--sigma",
    rich_help_panel=CANDIDATES,
    help="Widths of its sampling. [default: 3,5,7]\n\nIn standard deviations of its prediction.",
)

RECURSIVE = typer.Option(False, "--recursive", rich_help_panel=RUN, help="Look in the folders below, too.")
LIMIT = typer.Option(None, "--limit", min=1, rich_help_panel=RUN, help="Solve at most so many files.")
TIME_LIMIT = typer.Option(600.0, "--time-limit", min=1.0, rich_help_panel=RUN, help="Seconds a file; longer ones fail.")
SEED = typer.Option(
    None, "--seed", min=0, rich_help_panel=RUN, help="Of random numbers. [default: 0]\n\nThe same seed and the same file: the same answer."
)
DRY_RUN = typer.Option(False, "--dry-run", rich_help_panel=RUN, help="Say what would be solved, and stop.")

SERIES_OPTION = typer.Option(
    False,
    "--series",
    rich_help_panel=SERIES,
    help="The files are frames of one series.\n\nA few are solved fully, the others from these.",
)
ORDER = typer.Option(
    "name",
    "--order",
    rich_help_panel=SERIES,
    help="name, time, temperature, x, y, or a column.\n\nWhat orders the frames; the column is one of --values.",
)
ALL_FRAMES = typer.Option(False, "--all-frames", rich_help_panel=SERIES, help="A folder for each frame.\n\nWith --series.")
WATCH = typer.Option(False, "--watch", rich_help_panel=SERIES, help="Solve files as they arrive, until Ctrl-C.")
WATCH_IDLE = typer.Option(
    None, "--watch-idle", rich_help_panel=SERIES, help="End it after so many idle seconds.\n\nEnd --watch when nothing arrived for so long."
)

KEEP = typer.Option(None, "--keep", min=1, rich_help_panel=OUTPUT, help="Best structures to write. [default: 10]\n\nAs XYZ and CIF.")
FIGURES = typer.Option(True, "--figures/--no-figures", rich_help_panel=OUTPUT, help="PNG figures in each folder. [default: yes]")
REPORT = typer.Option(True, "--report/--no-report", rich_help_panel=OUTPUT, help="index.html. [default: yes]")
AS_JSON = typer.Option(False, "--json", rich_help_panel=OUTPUT, help="One JSON document, no table.")
VERIFY = typer.Option(
    None,
    "--verify",
    metavar="ENGINE",
    rich_help_panel=OUTPUT,
    help="srfit or srreal: the best ten by it, too.\n\nBeside ours in verify.csv. srfit: refined again with diffpy.srfit; srreal: calculated again "
    "with diffpy.srreal (conda-forge), e.g. --verify srreal.",
)

CONFIG = typer.Option(None, "--config", rich_help_panel=EXPERT, help="YAML of settings.\n\nSee --print-config; options win over it.")
SET = typer.Option(
    None,
    "--set",
    metavar="KEY=VALUE",
    rich_help_panel=EXPERT,
    help="One setting; may repeat.\n\nOf --print-config, e.g. refine_positions=true.",
)
VALUES = typer.Option(
    None,
    "--values",
    rich_help_panel=EXPERT,
    help="CSV: settings of single files.\n\nA column file, and columns named like settings.",
)
PRINT_CONFIG = typer.Option(False, "--print-config", rich_help_panel=EXPERT, help="Print all settings as YAML and stop.")
