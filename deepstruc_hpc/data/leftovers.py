"""What no state of a store needs: left by killed builds, or by the state before. It does no harm, and the next command that writes removes it."""

from __future__ import annotations

from deepstruc_hpc.data.catalog_index import index_leftovers
from deepstruc_hpc.data.manifest import ROOT, Manifest
from deepstruc_hpc.data.schema import BLOCKS, PLAN
from deepstruc_hpc.data.store_files import StoreFiles

DIGEST_FILE = ".json"
"""Ending of the file in ``plan`` that holds the digest of a recipe's plan; its name is the recipe's number. Folders beside it hold listed shapes."""


def leftovers(files: StoreFiles, manifest: Manifest) -> list[str]:
    """Paths of blocks, of parts of blocks, of the index and of the plan that this state does not need."""
    return [*_blocks(files, manifest), *derived_leftovers(files, manifest)]


def derived_leftovers(files: StoreFiles, manifest: Manifest) -> list[str]:
    """Of these what can be made again, so that a command may remove it that has lost the store's lock without knowing."""
    return [*index_leftovers(files, manifest), *_plans(files, manifest)]


def _blocks(files: StoreFiles, manifest: Manifest) -> list[str]:
    named = {block.path for block in manifest.blocks.values()}
    return [f"{BLOCKS}/{name}" for name in files.names(BLOCKS) if name != ROOT and f"{BLOCKS}/{name}" not in named]


def _plans(files: StoreFiles, manifest: Manifest) -> list[str]:
    """Listed shapes of a catalog that is complete, and digests of plans whose blocks were joined or divided."""
    named = {f"{number:02d}{DIGEST_FILE}" for number in range(manifest.n_settled, len(manifest.recipes))}
    found = files.names(PLAN)
    digests = [name for name in found if name.endswith(DIGEST_FILE) and not name.startswith(".")]
    shapes = [name for name in found if name not in digests] if manifest.complete else []
    return [f"{PLAN}/{name}" for name in (*(name for name in digests if name not in named), *shapes)]
