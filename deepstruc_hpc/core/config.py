"""Frozen settings that refuse what they do not know, and the one way to read them."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from deepstruc_hpc.core.errors import ConfigError, RenamedKeyWarning

STORED = {"stored": True}
"""Context of ``model_dump`` and ``model_validate`` for what stays in files for good and is hashed: fields then have their stored names."""


class Config(BaseModel):
    """Base of all settings: immutable, no unknown keys, units in the key or its description.

    ``renamed`` of a class names keys of the release before this one, and what they are called now; both are read, one at a time, the earlier one with
    a :class:`~deepstruc_hpc.core.errors.RenamedKeyWarning`. ``printed_by`` is the command that prints all keys, where there is one.
    ``stored_names`` of a :class:`StoredConfig` names fields that have another name in files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
    renamed: ClassVar[Mapping[str, str]] = {}
    stored_names: ClassVar[Mapping[str, str]] = {}
    printed_by: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _read_renamed(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, Mapping):
            return values
        if _for_files(info):
            present = {stored: name for name, stored in cls.stored_names.items()}
            values = {present.get(name, name): value for name, value in values.items()}
        if not cls.renamed.keys() & values.keys():
            return values
        if twice := [f"{old} (now {new})" for old, new in cls.renamed.items() if old in values and new in values]:
            raise ValueError(f"given under its earlier and its present name: {', '.join(twice)}; keep one")
        for old in cls.renamed.keys() & values.keys():
            warnings.warn(f"{old} is called {cls.renamed[old]} now; the earlier name ends with the next release", RenamedKeyWarning, stacklevel=2)
        return {cls.renamed.get(name, name): value for name, value in values.items()}

    def updated(self, **changes: Any) -> Self:
        """A validated copy with some fields replaced."""
        return type(self).model_validate({**self.model_dump(), **changes})

    def to_yaml(self) -> str:
        """The settings as a YAML document that :func:`load_config` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class StoredConfig(Config):
    """Settings of which some fields keep another name in files: ``stored_names`` maps the present name to that one, see :data:`STORED`."""

    @model_serializer(mode="wrap")
    def _under_stored_names(self, plain: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        values: dict[str, Any] = plain(self)
        return {self.stored_names.get(name, name): value for name, value in values.items()} if _for_files(info) else values


def _for_files(info: SerializationInfo | ValidationInfo) -> bool:
    return bool(info.context and info.context.get("stored"))


C = TypeVar("C", bound=Config)


def load_config(config_type: type[C], path: Path | None = None, overrides: Sequence[str] = (), *, error: type[ConfigError] = ConfigError) -> C:
    """Read settings from a YAML file and ``key=value`` overrides (dots descend: ``instrument.qmax=26``).

    Raises:
        ConfigError: (or the subclass given) naming the file, the key, what was found and, for an unknown key, the nearest known one.
    """
    values = read_yaml_mapping(path, error=error) if path is not None else {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise error(f"--set {override}: expected key=value, for example --set epochs=20.")
        _assign(values, key.strip().split("."), yaml.safe_load(text), override, error)
    return validate_config(config_type, values, source=str(path) if path is not None else "settings", error=error)


def validate_config(config_type: type[C], values: Mapping[str, Any], *, source: str, error: type[ConfigError] = ConfigError) -> C:
    """Check a mapping against a settings class; all faults in one readable error."""
    try:
        return config_type.model_validate(values)
    except ValidationError as invalid:
        raise error("; ".join(_explain(config_type, fault, source) for fault in invalid.errors())) from invalid


def read_yaml_mapping(path: Path, *, error: type[ConfigError] = ConfigError) -> dict[str, Any]:
    """The top-level mapping of a YAML file."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise error(f"{path}: no such file. Check the path.") from missing
    except (OSError, UnicodeDecodeError) as unreadable:
        raise error(f"{path}: cannot be read as text ({unreadable}). A YAML file is needed.") from unreadable
    except yaml.YAMLError as broken:
        raise error(f"{path}: not valid YAML: {' '.join(str(broken).split())}") from broken
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise error(f"{path}: holds {type(loaded).__name__}, but a mapping of key: value lines is needed.")
    return loaded


def _assign(values: dict[str, Any], keys: list[str], value: Any, override: str, error: type[ConfigError]) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise error(f"--set {override}: {key} is not a group of settings.")
    values[keys[-1]] = value


def _explain(config_type: type[Config], fault: Mapping[str, Any], source: str) -> str:
    place = tuple(str(part) for part in fault["loc"])
    where = ": ".join([source, *([".".join(place)] if place else [])])
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key.{_hint(config_type, place)}"
    if fault["type"] == "missing":
        return f"{where}: this key is needed and is not there."
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "value_error" and isinstance(fault["input"], Mapping | BaseModel):  # of several settings together, which the message names
        return f"{where}: {message}"
    return f"{where}: found {fault['input']!r}: {message}"


def _hint(config_type: type[Config], place: tuple[str, ...]) -> str:
    """What an unknown key may stand for: the nearest known one, of the same group where two are alike, and what prints all."""
    known = _known_keys(config_type)
    near = difflib.get_close_matches(place[-1], {names[-1] for names, _ in known}, n=1)
    found = sorted((key for key in known if near and key[0][-1] == near[0]), key=lambda key: (key[0][:-1] != place[:-1], len(key[0])))
    hints = []
    if found:
        (*group, last), now = found[0]
        earlier = f" (earlier {last})" if now else ""
        hints.append(f"Did you mean '{'.'.join([*group, now or last])}'{earlier}?")
    if config_type.printed_by:
        hints.append(f"All keys: {config_type.printed_by}.")
    return "".join(f" {hint}" for hint in hints)


def _known_keys(config_type: type[BaseModel], seen: frozenset[type] = frozenset(), group: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """All keys with the groups that they are in, and for earlier names the present one, else nothing."""
    renamed: Mapping[str, str] = getattr(config_type, "renamed", {})
    keys = [((*group, old), new) for old, new in renamed.items()]
    for name, field in config_type.model_fields.items():
        place = (*group, field.alias or name)
        keys.append((place, ""))
        for nested in _models_in(field.annotation):
            if nested not in seen:
                keys += _known_keys(nested, seen | {config_type, nested}, place)
    return keys


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]
