"""List the shapes of a recipe's families: alone as long as that is quick, then shared out over actors. The list is the same either way."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

from deepstruc_hpc.catalog.recipe import FamilyChoice, Recipe
from deepstruc_hpc.core.errors import DeepstrucError, EngineError, RecipeError
from deepstruc_hpc.runtime.pool import ItemFailure, map_over_actors
from deepstruc_hpc.runtime.progress import Progress, progress_bar
from deepstruc_hpc.runtime.ray_session import ray_session, usable_cores
from deepstruc_hpc.structures.families import Shape, family_named

SECONDS_ALONE = 5.0
"""A listing that is not through after this is shared out; most recipes are, and starting actors would only cost."""


@dataclass(frozen=True)
class ListingPart:
    """A part of a family's list that does not depend on the other parts.

    Attributes:
        number: place in the whole list.
        choice: place of the family's line in the recipe.
        family: its name.
        min_atoms: smallest number of atoms.
        max_atoms: largest number of atoms.
        options: of the family.
    """

    number: int
    choice: int
    family: str
    min_atoms: int
    max_atoms: int
    options: Mapping[str, Any]


class Lister:
    """Lists one part; holds nothing."""

    def __call__(self, item: ListingPart) -> list[Shape]:
        """The part's different shapes, in the family's order."""
        return list(family_named(item.family).enumerate(item.min_atoms, item.max_atoms, **item.options))


def list_shapes(recipe: Recipe, *, workers: int | None = 0, session: ExitStack | None = None, progress: bool = True) -> list[list[Shape]]:
    """The shapes of each line of a recipe, without those that equal an earlier one of the line, cut to the line's limit.

    Args:
        recipe: what was asked for.
        workers: actors; None for one a core, 0 for this process alone.
        session: keeps a Ray session that is started here open for the caller.
        progress: show a bar on stderr where it takes a while.

    Raises:
        RecipeError: an option that a family does not have.
    """
    parts = _parts(recipe)
    found: dict[int, list[Shape]] = {}
    started = time.monotonic()
    while len(found) < len(parts) and time.monotonic() - started < SECONDS_ALONE:
        found[len(found)] = _here(recipe, parts[len(found)])
    rest = parts[len(found) :]
    if rest:
        found |= dict(_the_rest(recipe, rest, usable_cores() if workers is None else workers, session, progress=progress))
    of_lines: list[list[Shape]] = [[] for _ in recipe.families]
    for part in parts:
        of_lines[part.choice] += found[part.number]
    return [_limited(choice, _different(shapes)) for choice, shapes in zip(recipe.families, of_lines, strict=True)]


def _the_rest(
    recipe: Recipe, rest: list[ListingPart], workers: int, session: ExitStack | None, *, progress: bool
) -> Iterator[tuple[int, list[Shape]]]:
    label = "listing shapes" if progress else ""
    if min(workers, len(rest)) < 2:
        with progress_bar(label, len(rest)) if label else nullcontext(Progress()) as bar:
            for part in rest:
                yield part.number, _here(recipe, part)
                bar.advance()
        return
    with ExitStack() as own:
        (session or own).enter_context(ray_session(workers))
        for part, outcome in map_over_actors(Lister, rest, workers=min(workers, len(rest)), progress_label=label, total=len(rest)):
            if not isinstance(outcome, ItemFailure):
                yield part.number, outcome
            elif outcome.died:
                raise EngineError(f"recipe {recipe.name}: listing family {part.family}: {outcome}") from outcome.error
            else:
                raise _refused(recipe, part.family, outcome.error) from outcome.error


def _here(recipe: Recipe, part: ListingPart) -> list[Shape]:
    try:
        return Lister()(part)
    except (TypeError, ValueError, DeepstrucError) as wrong:
        raise _refused(recipe, part.family, wrong) from wrong


def _refused(recipe: Recipe, family: str, wrong: BaseException) -> RecipeError:
    return RecipeError(f"recipe {recipe.name}: family {family}: {wrong}")


def _parts(recipe: Recipe) -> list[ListingPart]:
    parts: list[ListingPart] = []
    for line, choice in enumerate(recipe.families):
        smallest = choice.min_atoms if choice.min_atoms is not None else recipe.min_atoms
        largest = choice.max_atoms if choice.max_atoms is not None else recipe.max_atoms
        try:
            divided = family_named(choice.family).parts(choice.options)
        except (TypeError, ValueError, DeepstrucError) as wrong:
            raise _refused(recipe, choice.family, wrong) from wrong
        parts += [ListingPart(len(parts) + place, line, choice.family, smallest, largest, options) for place, options in enumerate(divided)]
    return parts


def _different(shapes: Iterable[Shape]) -> list[Shape]:
    """The first of shapes with one fingerprint."""
    kept: dict[str, Shape] = {}
    for shape in shapes:
        kept.setdefault(shape.fingerprint or f"unmarked {len(kept)}", shape)
    return list(kept.values())


def _limited(choice: FamilyChoice, shapes: list[Shape]) -> list[Shape]:
    if choice.limit is None or len(shapes) <= choice.limit:
        return shapes
    return [shapes[index] for index in evenly(len(shapes), choice.limit)]


def evenly(available: int, wanted: int) -> list[int]:
    """``wanted`` numbers below ``available``, evenly apart."""
    return [(2 * index + 1) * available // (2 * wanted) for index in range(wanted)]
