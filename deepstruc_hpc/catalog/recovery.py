"""Blocks that an interrupted build had made, but that its manifest does not name yet: they are taken up, not made again."""

from __future__ import annotations

from deepstruc_hpc.catalog.plan import Plan
from deepstruc_hpc.data.catalog_block import bytes_digest
from deepstruc_hpc.data.catalog_index import block_key, stored_entries
from deepstruc_hpc.data.manifest import BlockEntry, Manifest
from deepstruc_hpc.data.store_files import StoreFiles


def recovered(files: StoreFiles, manifest: Manifest, plan: Plan) -> Manifest:
    """The state with the blocks of a plan that workers had finished when their driver ended.

    Whoever writes a block writes its columns and its entry beside it, last of all. A block is taken up if it has the plan's id and size, and its
    file the digest of the entry.

    Args:
        files: the store.
        manifest: its state.
        plan: of the recipe that is being built.
    """
    named = {block_key(block) for block in manifest.blocks.values()}
    missing = {number for run in plan.missing(manifest.blocks) for number in run}
    found: dict[int, BlockEntry] = {}
    for entry in stored_entries(files, named):
        words = entry.id.split("-")
        number = int(words[1])
        wanted = int(words[0]) == plan.part and number in missing and number not in found and entry.n_structures == plan.size_of(number)
        if wanted and plan.block_id(number) == entry.id and _is_whole(files, entry):
            found[number] = entry
    return manifest.with_blocks(list(found.values()))


def _is_whole(files: StoreFiles, entry: BlockEntry) -> bool:
    try:
        return bytes_digest(files.read(entry.path)) == entry.digest
    except OSError:
        return False
