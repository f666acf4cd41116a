"""What a build would be: structures, blocks, bytes and time, without building."""

from __future__ import annotations

import time
from typing import Any

from deepstruc_hpc.catalog.blocks import check_engine, make_block
from deepstruc_hpc.catalog.plan import Plan, PlannedBlock, make_plan
from deepstruc_hpc.catalog.recipe import Recipe
from deepstruc_hpc.data.catalog_block import encode_block
from deepstruc_hpc.runtime.ray_session import usable_cores

SAMPLE = 64
SECONDS_TO_START_RAY = 6.0


def estimate(recipe: Recipe, workers: int | None) -> dict[str, Any]:
    """Counts from the plan; bytes and time from a sample of structures that are built, encoded and thrown away.

    Raises:
        EngineError: the recipe's engine is not installed.
    """
    check_engine(recipe)
    started = time.perf_counter()
    plan = make_plan(recipe, workers=workers, progress=True)
    listing = time.perf_counter() - started
    cores = usable_cores() if workers is None else max(1, workers)
    seconds, n_bytes = _sampled(plan)
    return {
        "recipe": recipe.name,
        "recipe_hash": recipe.id,
        "n_structures": len(plan),
        "n_shapes": len(plan.shapes),
        "n_duplicates_dropped": plan.dropped,
        "by_type": dict(plan.counts().most_common()),
        "by_family": {f"{family}/{kind}": count for (family, kind), count in plan.counts_by_family().items()},
        "n_atoms": plan.n_atoms(),
        "n_blocks": plan.n_blocks,
        "block_size": plan.block_size,
        "r_points": len(recipe.pdf.r),
        "bytes": round(n_bytes),
        "workers": cores,
        "seconds_to_list": round(listing, 1),
        "seconds": round(seconds / cores + (SECONDS_TO_START_RAY if workers != 0 else 0.0), 1),
    }


def _sampled(plan: Plan) -> tuple[float, float]:
    """(seconds on one core, bytes) of the whole plan, from structures taken evenly from it."""
    count = min(SAMPLE, len(plan))
    chosen = [plan.structure((2 * index + 1) * len(plan) // (2 * count)) for index in range(count)]
    block = PlannedBlock("sample", tuple(chosen))
    make_block(block, plan.recipe.pdf)  # once for the tables that are made on first use
    started = time.process_time()
    encoded = encode_block(make_block(block, plan.recipe.pdf), {})
    seconds = time.process_time() - started
    return seconds * len(plan) / count, sum(len(data) for data in encoded.values()) * len(plan) / count
