"""Whether a search still moves. A search that waits for something that never comes ends with a word instead of waiting for ever.

Ray retries for ever where a trial's workers cannot start (no room, killed while they import), and Tune waits for a trial's next result however long
it takes. Both are right as long as something happens. What happens is told here by the trials' own files, so it holds whichever part of Ray stands
still: a trial begins, finishes an epoch, or ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.training.epoch_log import FILE, read_epochs

ENDED = "ended"
"""File of a trial whose training has returned, well or not."""
EPOCHS_LONGER = 10.0
"""An epoch may take so many times the longest one before: other trials of a search have larger networks, and a node may be shared."""

State = tuple[tuple[str, int, bool], ...]


@dataclass
class StallWatch:
    """Looks at the trials of a search.

    Attributes:
        folder: with a folder a trial.
        patience: seconds in which something must happen, unless an epoch took more than a tenth of that; 0: never too long.
        clock: seconds.
    """

    folder: Path
    patience: float
    clock: Callable[[], float] = time.monotonic
    _state: State = ()
    _since: float | None = None
    _longest: float = field(default=0.0)

    def look(self) -> None:
        """Call it often.

        Raises:
            EngineError: nothing has happened for too long; says what each trial was last seen doing.
        """
        now, state = self.clock(), self._read()
        if self._since is None or state != self._state:
            self._state, self._since = state, now
            return
        waited, limit = now - self._since, max(self.patience, EPOCHS_LONGER * self._longest)
        if self.patience > 0 and waited > limit:
            raise EngineError(
                f"nothing has happened for {waited / 60:.0f} minutes: {self._in_words()}. What was finished is kept, and a second call goes on. "
                f"If trials do wait so long rightly (for room, for an epoch), set stall_minutes in the search's settings to more than "
                f"{limit / 60:g}, or to 0."
            )

    def _read(self) -> State:
        found = []
        for trial in sorted(path for path in self.folder.glob("*") if path.is_dir()):
            lines = read_epochs(trial / FILE)
            self._longest = max([self._longest, *(float(line.get("seconds", 0.0)) for line in lines)])
            found.append((trial.name, len(lines), (trial / ENDED).exists()))
        return tuple(found)

    def _in_words(self) -> str:
        if not self._state:
            return "no trial has begun"
        waiting = [
            f"trial {name} trains since its epoch {epochs}" if epochs else f"trial {name} has not finished an epoch"
            for name, epochs, ended in self._state
            if not ended
        ]
        return "; ".join(waiting) or f"all {len(self._state)} trials that began have ended, and Ray Tune does not go on"
