"""Room that Ray keeps for a group of workers: what a training waits for, and groups that outlive their owner.

Ray removes a placement group when its job and the actor that made it have both ended. Inside a session that stays open, the group of a trial that
was stopped early would therefore stay too, and hold its cores.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from deepstruc_hpc.runtime.ray_session import quiet_ray

FIRST_NOTICE_SECONDS = 10.0
LOOK_SECONDS = 1.0
IDLE_SECONDS = 2.0
UNUSED_SECONDS = 60.0
SLOW_START_SECONDS = 60.0
"""From the start of a worker for which there is room to when it is called slow."""
log = logging.getLogger("deepstruc_hpc")


@dataclass(frozen=True)
class Group:
    """One placement group.

    Attributes:
        id: hexadecimal.
        waits: True while Ray has not found room for it.
        bundles: what each of its workers holds, for example ``{"CPU": 1.0}``.
    """

    id: str
    waits: bool
    bundles: tuple[Mapping[str, float], ...]

    def is_idle(self, free: Mapping[str, float]) -> bool:
        """Whether nobody works in it: Ray offers the room of a group under names of its own, ``CPU_group_ID``."""
        kinds = {kind for bundle in self.bundles for kind in bundle}
        return all(free.get(f"{kind}_group_{self.id}", 0.0) >= sum(bundle.get(kind, 0.0) for bundle in self.bundles) - 1e-3 for kind in kinds)


def groups(*, of_this_job: bool = True) -> list[Group]:
    """The placement groups of the open Ray session that are not removed; those of this driver alone, or of all."""
    from ray.util import placement_group_table

    own = quiet_ray().get_runtime_context().get_job_id() if of_this_job else ""  # the id of a group ends with that of its job
    found: Mapping[str, Any] = placement_group_table()
    return [
        Group(name, one["state"] in ("PENDING", "RESCHEDULING"), tuple(dict(bundle) for bundle in one["bundles"].values()))
        for name, one in found.items()
        if one["state"] != "REMOVED" and name.endswith(own)
    ]


def remove_groups(names: Collection[str]) -> list[str]:
    """Remove those of this job's groups that are named; returns the ones that were there."""
    from ray import PlacementGroupID
    from ray.util import remove_placement_group
    from ray.util.placement_group import PlacementGroup

    there = [group.id for group in groups() if group.id in names]
    for name in there:
        remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(name))))
    return there


def remove_late_groups(before: Collection[str], quiet: float = IDLE_SECONDS, limit: float = 30.0) -> list[str]:
    """Remove this job's groups that are not among ``before``, until none has appeared for ``quiet`` seconds; returns them.

    Actors that are being ended go on for a moment, and one that was just about to start workers still makes a group for them.
    """
    removed: list[str] = []
    now = time.monotonic()
    end, settled = now + limit, now + quiet
    while (now := time.monotonic()) < min(end, settled):
        left = remove_groups({group.id for group in groups()} - set(before))
        if left:
            removed, settled = [*removed, *left], now + quiet
        time.sleep(0.1)
    return removed


def in_words(bundles: Collection[Mapping[str, float]], free: Mapping[str, float], all_there_is: Mapping[str, float], held: Collection[Group]) -> str:
    """What is wanted, what is free, and who holds the rest.

    >>> in_words([{"CPU": 1.0}] * 2, {"CPU": 0.5}, {"CPU": 2.0}, [])
    '2 workers of 1 CPU are wanted; of 2 CPU 0.5 are free'
    """
    kinds = Counter(" and ".join(f"{amount:g} {kind}" for kind, amount in sorted(bundle.items())) for bundle in bundles)
    wanted = ", ".join(f"{count} worker{'s' * (count > 1)} of {what}" for what, count in kinds.items())
    names = sorted({kind for bundle in bundles for kind in bundle})
    room = ", ".join(f"of {all_there_is.get(kind, 0.0):g} {kind} {free.get(kind, 0.0):g} are free" for kind in names)
    text = f"{wanted} {'are' if len(bundles) > 1 else 'is'} wanted; {room}"
    if held:
        sums = {kind: sum(bundle.get(kind, 0.0) for group in held for bundle in group.bundles) for kind in names}
        text += f"; {', '.join(f'{amount:g} {kind}' for kind, amount in sums.items())} held by other placement groups of this Ray session"
    too_much = [kind for kind in names if sum(bundle.get(kind, 0.0) for bundle in bundles) > all_there_is.get(kind, 0.0) + 1e-6]
    if too_much:
        text += f". There is not so much {' and '.join(too_much)} at all: it never starts unless nodes join. Ask for fewer workers"
    return text


@dataclass
class IdleGroups:
    """Gives back the room of groups whose workers have gone and whose owner did not remove them: what a trial leaves that was stopped.

    A group counts as left when its workers held its room once and nobody has held it for some seconds since: a trainer that lives either holds it,
    or removes the group itself. So does one that nobody has held for a minute: its trainer was ended before it could start workers.

    Attributes:
        least: groups that hold no more CPU than this are another's and are let alone.
    """

    least: float = 0.0
    _busy: set[str] = field(default_factory=set)
    _held: set[str] = field(default_factory=set)
    _idle_since: dict[str, float] = field(default_factory=dict)
    _looked: float = 0.0

    def look(self, now: float | None = None) -> list[str]:
        """Call it often: it asks Ray at most once a second. Returns the ids of the groups that it removed."""
        now = time.monotonic() if now is None else now
        if now - self._looked < LOOK_SECONDS:
            return []
        self._looked = now
        free = quiet_ray().available_resources()
        here = [group for group in groups() if not group.waits and sum(bundle.get("CPU", 0.0) for bundle in group.bundles) > self.least]
        left = []
        for group in here:
            if not group.is_idle(free):
                if group.id in self._busy:  # seen so twice: Ray reports the room of a new group a moment late
                    self._held.add(group.id)
                self._busy.add(group.id)
                self._idle_since.pop(group.id, None)
                continue
            self._busy.discard(group.id)
            if now - self._idle_since.setdefault(group.id, now) >= (IDLE_SECONDS if group.id in self._held else UNUSED_SECONDS):
                left.append(group.id)
        return remove_groups(left) if left else []


@dataclass
class WaitNotice:
    """Says what the placement groups of this job wait for once they have waited for some seconds, and again ever more rarely.

    Attributes:
        what: begins the sentence, for example "the training".
        tell: takes the sentence; by default it goes to the log ``deepstruc_hpc`` as a warning, which Python shows on stderr.
    """

    what: str
    tell: Callable[[str], None] = log.warning
    _since: float | None = None
    _next: float = FIRST_NOTICE_SECONDS
    _looked: float = field(default=0.0)

    def look(self, now: float | None = None) -> None:
        """Call it often: it asks Ray at most once a second."""
        now = time.monotonic() if now is None else now
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        here = groups(of_this_job=False)
        own = {group.id for group in groups()}
        waiting = [group for group in here if group.waits and group.id in own]
        if not waiting:
            self._since, self._next = None, FIRST_NOTICE_SECONDS
            return
        self._since = now if self._since is None else self._since
        waited = now - self._since
        if waited < self._next:
            return
        self._next = 2 * max(waited, self._next)
        ray = quiet_ray()
        bundles = [bundle for group in waiting for bundle in group.bundles]
        held = [group for group in here if not group.waits]
        text = in_words(bundles, ray.available_resources(), ray.cluster_resources(), held)
        self.tell(f"{self.what} has waited {waited:.0f} s for room: {text}.")


@dataclass
class StartNotice:
    """Says what workers that hold no placement group wait for when none of them has started after some seconds, and again ever more rarely.

    While a worker starts it holds its cores, so none may be free although nobody else holds any. Where there was room at first, nothing is said
    for a minute: Python and its packages take seconds to load, and more on a busy machine or a slow file system.

    Attributes:
        bundle: what each of them holds.
        workers: how many.
        report: takes the sentence.
    """

    bundle: Mapping[str, float]
    workers: int
    report: Callable[[str], None] = log.warning
    _waited: float = 0.0
    _next: float = field(default_factory=lambda: FIRST_NOTICE_SECONDS)
    _had_room: bool = field(init=False)

    def __post_init__(self) -> None:
        self._had_room = self._has_room(quiet_ray().available_resources())

    def patience(self, started: bool) -> float | None:
        """How long to wait for news, s; for ever once a worker has started."""
        if started:
            self._waited, self._next = 0.0, FIRST_NOTICE_SECONDS
            return None
        return self._next

    def tell(self, *, arrived: bool) -> None:
        """After a wait without news.

        Args:
            arrived: the process of a worker runs: it imports packages and opens what it works with.
        """
        self._waited += self._next
        self._next *= 2
        if arrived:
            if self._waited >= SLOW_START_SECONDS:
                self.report(
                    f"workers run, but none is ready after {self._waited:.0f} s: they import packages and open the files that they work with. "
                    "A busy machine or a slow file system makes that long."
                )
            return
        ray = quiet_ray()
        free = ray.available_resources()
        room = self._has_room(free)
        if (self._had_room or room) and self._waited < SLOW_START_SECONDS:
            return
        text = in_words([self.bundle] * self.workers, free, ray.cluster_resources(), groups(of_this_job=False))
        cause = ". There was room for them: this machine is busy, or Python starts slowly from its file system" if self._had_room or room else ""
        self.report(f"no worker has started after {self._waited:.0f} s: {text}{cause}.")

    def _has_room(self, free: Mapping[str, float]) -> bool:
        """Whether one worker would find what it holds."""
        return all(free.get(kind, 0.0) >= amount - 1e-6 for kind, amount in self.bundle.items())
