"""A recipe: the declared content of a catalog."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from deepstruc_hpc.core.config import Config, load_config, validate_config
from deepstruc_hpc.core.errors import ConfigError, DeepstrucError, RecipeError
from deepstruc_hpc.core.resources import find_resource
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.species import SYMBOLS
from deepstruc_hpc.structures.elements import METALS_OF_THE_PAPER, nn_distance
from deepstruc_hpc.structures.families import Family, family_named

NN_LIMITS = (0.5, 8.0)
"""Å: a nearest-neighbour distance outside is a mistake, most likely of the unit."""

_WORDS_ONLY = ("name", "description")


def _angstrom(value: Any) -> Any:
    if value in ("angstrom", "Å", "A"):
        return "angstrom"
    raise ValueError("lengths are in Å here (length_unit: angstrom); 1 nm = 10 Å. Convert the numbers and say angstrom")


class FamilyChoice(Config):
    """One line of a recipe: a family with what differs from the recipe's defaults. Numbers of atoms have no unit."""

    family: str = Field(description="name of the family")
    elements: tuple[str, ...] | None = Field(default=None, description="symbols; without them the recipe's")
    min_atoms: int | None = Field(default=None, ge=1, description="smallest structure; without it the recipe's")
    max_atoms: int | None = Field(default=None, ge=1, description="largest structure; without it the recipe's")
    limit: int | None = Field(default=None, ge=1, description="at most so many shapes, spread evenly over the family's list")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the family; docs/families.md lists them")


def _as_choice(value: Any) -> Any:
    return {"family": value} if isinstance(value, str) else value


class Recipe(Config):
    """What a catalog holds. Lengths in Å, Q in Å⁻¹, Uiso in Å²."""

    name: str = Field(description="for people; not part of the hash")
    description: str = Field(default="", description="for people; not part of the hash")
    length_unit: Annotated[Literal["angstrom"], BeforeValidator(_angstrom)] = Field(default="angstrom", description="nothing else is accepted")
    elements: tuple[str, ...] = Field(default=(), description="symbols, or paper for the 28 metals of the paper")
    nn_distance: dict[str, float] | Literal["metallic_radius", "metallic_radius_12"] = Field(
        default="metallic_radius", description="Å by element, or twice the metallic radius (single-bond as in the paper, or of twelve neighbours)"
    )
    min_atoms: int = Field(default=5, ge=1, description="smallest structure")
    max_atoms: int = Field(default=200, ge=1, le=100_000, description="largest structure")
    families: tuple[Annotated[FamilyChoice, BeforeValidator(_as_choice)], ...] = Field(description="names, or groups of the keys below")
    pdf: PdfConditions = PdfConditions()
    duplicates: Literal["drop", "geometry", "keep"] = Field(
        default="drop",
        description="drop: one a shape and element; geometry: one for all elements of the same nearest-neighbour distance, as the paper counts",
    )
    limit: int | None = Field(default=None, ge=1, description="at most so many structures, spread evenly over structure types and within each")
    block_size: int | None = Field(default=None, ge=1, le=1_000_000, description="structures a block; by default a 16th of the catalog, 64 to 4096")
    seed: int = Field(default=0, ge=0, description="part of the hash; families that draw at random have a seed of their own among their options")
    leave_out: tuple[str, ...] = Field(default=(), description="fingerprints of shapes that the catalog must not hold, such as those of a test set")

    @field_validator("elements", mode="before")
    @classmethod
    def _paper_is_28_metals(cls, value: Any) -> Any:
        return METALS_OF_THE_PAPER if value == "paper" else value

    @field_validator("nn_distance")
    @classmethod
    def _distances_are_in_angstrom(cls, value: Any) -> Any:
        for symbol, distance in value.items() if isinstance(value, dict) else ():
            if not NN_LIMITS[0] <= distance <= NN_LIMITS[1]:
                raise ValueError(
                    f"{symbol}: a nearest-neighbour distance of {distance:g} Å is not possible; was it meant in nm or pm? Lengths are in Å"
                )
        return value

    @model_validator(mode="after")
    def _families_are_there(self) -> Recipe:
        if not self.families:
            raise ValueError("no structures: families is empty. Name at least one, for example families: [fcc, icosahedral]")
        if self.min_atoms > self.max_atoms:
            raise ValueError(f"no structures: min_atoms {self.min_atoms} is larger than max_atoms {self.max_atoms}")
        return self

    @property
    def id(self) -> str:
        """Hash of all that decides about the content; name and description do not."""
        return recipe_hash([self.content()])

    def content(self) -> dict[str, Any]:
        """The recipe as plain values, without words for people."""
        empty = () if self.leave_out else ("leave_out",)
        return {key: value for key, value in self.model_dump(mode="json").items() if key not in (*_WORDS_ONLY, *empty)}

    def elements_of(self, choice: FamilyChoice) -> tuple[str, ...]:
        """Elements of one line."""
        return choice.elements if choice.elements is not None else self.elements

    def distance_of(self, symbol: str) -> float:
        """Nearest-neighbour distance of an element, Å.

        Raises:
            RecipeError: the recipe and the table of radii do not know it.
        """
        if isinstance(self.nn_distance, dict):
            if symbol not in self.nn_distance:
                raise RecipeError(f"recipe {self.name}: nn_distance has no line for {symbol}. Add it, in Å.")
            return self.nn_distance[symbol]
        try:
            return nn_distance(symbol, "single" if self.nn_distance == "metallic_radius" else "twelve")
        except DeepstrucError as unknown:
            raise RecipeError(f"recipe {self.name}: {unknown} In a recipe: nn_distance: {{{symbol}: 2.9}} (Å).") from unknown


def recipe_hash(recipes: list[Mapping[str, Any]]) -> str:
    """Hash of the contents of one or several recipes: a catalog's id."""
    contents = [{key: value for key, value in recipe.items() if key not in _WORDS_ONLY} for recipe in recipes]
    text = json.dumps(contents, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def load_recipe(path_or_name: str | Path, *, limit: int | None = None) -> Recipe:
    """Read and check a recipe: a file, or the name of one that comes with the program.

    Args:
        path_or_name: ``my/recipe.yaml``, or ``demo``, ``monometallic``, …
        limit: replaces the recipe's own limit; a limited catalog is another catalog.

    Raises:
        RecipeError: no such recipe, unknown key, wrong unit, unknown element or family, no structures.
    """
    try:
        path = find_resource("catalog", str(path_or_name))
    except ConfigError as missing:
        raise RecipeError(str(missing)) from missing
    if path.is_dir():
        raise RecipeError(f"{path}: a directory. A recipe is a YAML file.")
    recipe = load_config(Recipe, path, error=RecipeError)
    if limit is not None:
        recipe = validate_config(Recipe, {**recipe.model_dump(), "limit": limit}, source="--limit", error=RecipeError)
    check_recipe(recipe, str(path))
    return recipe


def check_recipe(recipe: Recipe, source: str) -> None:
    """Check what needs the tables of elements and families.

    Raises:
        RecipeError: naming the line.
    """
    for choice in recipe.families:
        family = _family(choice, source)
        elements = recipe.elements_of(choice)
        if family.takes_metal and not elements:
            raise RecipeError(
                f"{source}: family {choice.family}: no structures, because no elements are given. Add elements: [Au, Pt] (or elements: paper)."
            )
        for symbol in elements if family.takes_metal else ():
            if symbol not in SYMBOLS:
                raise RecipeError(f"{source}: elements: {symbol!r} is no chemical element. Use symbols such as Au, Pt, Fe.")
            recipe.distance_of(symbol)


def _family(choice: FamilyChoice, source: str) -> Family:
    try:
        return family_named(choice.family)
    except DeepstrucError as unknown:
        raise RecipeError(f"{source}: families: {unknown}") from unknown
