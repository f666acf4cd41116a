"""What `pip install deepstruc_hpc` brings: each package with its size on the disk and its licence, as `docs/dependencies.md`.

    python docs/dependencies.py > docs/dependencies.md

Sizes are those of the files that each installed package lists, compiled ``.pyc`` files left out. Only what is installed here is counted, for the
requirements of ``pyproject.toml`` without extras and then for each extra what it adds.
"""

from __future__ import annotations

import re
import sys
import tomllib
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LARGE_MB = 10.0
"""Packages from here on are named with their size; the others only with their licence."""
LONGEST_LICENCE = 60
"""Letters; a longer field is the licence's whole text, and its first line or classifier stands for it."""


def closure(requirements: list[str]) -> dict[str, Distribution]:
    """The installed packages that some requirements bring, with what those need in turn; by name."""
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(one), "") for one in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted, extra = waiting.pop()
        key = (normal(wanted.name), frozenset(wanted.extras))
        if key in seen or not applies(wanted, extra):
            continue
        try:
            package = distribution(wanted.name)
        except PackageNotFoundError:
            continue
        seen.add(key)
        found[key[0]] = package
        for one in package.requires or []:
            waiting += [(Requirement(one), name) for name in ("", *wanted.extras)]
    return found


def brought_alone(base: dict[str, Distribution]) -> dict[str, set[str]]:
    """For each requirement of the program, the packages that nothing else of it brings."""
    wanted: list[str] = PROJECT["dependencies"]
    return {Requirement(one).name: base.keys() - closure([other for other in wanted if other != one]).keys() for one in wanted}


def applies(wanted: Requirement, extra: str) -> bool:
    """Whether a requirement counts on this machine."""
    try:
        return wanted.marker is None or wanted.marker.evaluate({"extra": extra})
    except UndefinedEnvironmentName:
        return False


def normal(name: str) -> str:
    """The name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def megabytes(package: Distribution) -> float:
    """Size of a package's files on the disk."""
    places = [Path(str(package.locate_file(file))) for file in package.files or [] if not str(file).endswith(".pyc")]
    return sum(place.stat().st_size for place in places if place.is_file()) / 1e6


def licence(package: Distribution) -> str:
    """The licence in a few words, as the package's own metadata give it."""
    fields = [package.metadata.get("License-Expression"), package.metadata.get("License")]
    lines = [line.split(" :: ") for line in package.metadata.get_all("Classifier") or []]
    classifiers = [words[-1] for words in lines if words[0] == "License" and len(words) > 2]
    for field in (*fields[:1], *classifiers, *fields[1:]):
        words = (field or "").strip().splitlines()
        if words and words[0] and words[0] != "UNKNOWN":
            return words[0][:LONGEST_LICENCE]
    return "not stated there"


def main() -> None:
    """Print the page."""
    base = closure(PROJECT["dependencies"])
    sizes = {name: megabytes(package) for name, package in base.items()}
    print("# What is installed\n")
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"`python docs/dependencies.py > docs/dependencies.md`, {datetime.now(UTC):%Y-%m-%d}, Python {python}, torch {base['torch'].version}.\n")
    print(f"The program without extras brings {len(base)} packages with {sum(sizes.values()):.0f} MB. Those of {LARGE_MB:.0f} MB and more:\n")
    print("| package | MB | licence |\n|---|---|---|")
    for name in sorted((name for name in base if sizes[name] >= LARGE_MB), key=lambda name: -sizes[name]):
        print(f"| {name} {base[name].version} | {sizes[name]:.0f} | {licence(base[name])} |")
    print("\nWhat would not be there without one requirement of the program, itself and what it alone brings, where that is as much:\n")
    print("| requirement | packages | MB |\n|---|---|---|")
    for name, alone in sorted(brought_alone(base).items(), key=lambda one: -sum(sizes[name] for name in one[1])):
        if sum(sizes[one] for one in alone) >= LARGE_MB:
            print(f"| {name} | {len(alone)} | {sum(sizes[one] for one in alone):.0f} |")
    print("\nWhat each extra adds:\n\n| extra | packages | MB |\n|---|---|---|")
    for extra, requirements in PROJECT["optional-dependencies"].items():
        more = {name: package for name, package in closure(requirements).items() if name not in base}
        print(f"| {extra} | {len(more)} | {sum(map(megabytes, more.values())):.0f} |")
    print("\n## Licences\n\nAs the packages' own metadata state them, of all packages without extras:\n")
    by_licence: dict[str, list[str]] = {}
    for name in sorted(base):
        by_licence.setdefault(licence(base[name]), []).append(name)
    for words in sorted(by_licence, key=str.lower):
        print(f"- {words}: {', '.join(by_licence[words])}")


if __name__ == "__main__":
    main()
