"""List the shapes of a recipe's families: alone as long as that is quick, then shared out over actors. The list is the same either way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from deepstruc_hpc.catalog.recipe import Recipe
from deepstruc_hpc.catalog.shapes import ListedPart, ShapeFiles, in_file, listed_part
from deepstruc_hpc.core.errors import DeepstrucError, EngineError, RecipeError
from deepstruc_hpc.runtime.pool import ItemFailure, map_over_actors
from deepstruc_hpc.runtime.progress import Progress, progress_bar
from deepstruc_hpc.runtime.ray_session import ray_session, usable_cores
from deepstruc_hpc.structures.families import family_named

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
    """Lists one part.

    Args:
        shelf: where to put the shapes; without one they are handed back.
    """

    def __init__(self, shelf: ShapeFiles | None = None) -> None:
        self._shelf = shelf

    def __call__(self, item: ListingPart) -> ListedPart:
        """The part's different shapes, in the family's order."""
        shapes = list(family_named(item.family).enumerate(item.min_atoms, item.max_atoms, **item.options))
        listed = listed_part(item.family, shapes)
        return listed if self._shelf is None else in_file(listed, item.number, self._shelf)


def list_parts(
    recipe: Recipe, *, workers: int | None = 0, session: ExitStack | None = None, progress: bool = True, shelf: ShapeFiles | None = None
) -> tuple[list[ListedPart], list[int]]:
    """The parts of the list of a recipe's shapes, and the line of the recipe that each is of.

    Args:
        recipe: what was asked for.
        workers: actors; None for one a core, 0 for this process alone.
        session: keeps a Ray session that is started here open for the caller.
        progress: show a bar on stderr where it takes a while.
        shelf: where actors put the shapes; without one these come to this process.

    Raises:
        RecipeError: an option that a family does not have.
    """
    parts = _parts(recipe)
    found: dict[int, ListedPart] = {}
    started = time.monotonic()
    while len(found) < len(parts) and time.monotonic() - started < SECONDS_ALONE:
        found[len(found)] = _here(recipe, parts[len(found)])
    rest = parts[len(found) :]
    if rest:
        found |= dict(_the_rest(recipe, rest, usable_cores() if workers is None else workers, session, shelf, progress=progress))
    return [found[part.number] for part in parts], [part.choice for part in parts]


def _the_rest(
    recipe: Recipe, rest: list[ListingPart], workers: int, session: ExitStack | None, shelf: ShapeFiles | None, *, progress: bool
) -> Iterator[tuple[int, ListedPart]]:
    label = "listing shapes" if progress else ""
    if min(workers, len(rest)) < 2:
        with progress_bar(label, len(rest)) if label else nullcontext(Progress()) as bar:
            for part in rest:
                yield part.number, _here(recipe, part)
                bar.advance()
        return
    with ExitStack() as own:
        (session or own).enter_context(ray_session(workers))
        for part, outcome in map_over_actors(partial(Lister, shelf), rest, workers=min(workers, len(rest)), progress_label=label, total=len(rest)):
            if not isinstance(outcome, ItemFailure):
                yield part.number, outcome
            elif outcome.died:
                raise EngineError(f"recipe {recipe.name}: listing family {part.family}: {outcome}") from outcome.error
            else:
                raise _refused(recipe, part.family, outcome.error) from outcome.error


def _here(recipe: Recipe, part: ListingPart) -> ListedPart:
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
