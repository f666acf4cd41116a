"""Stands in for a stage where a test is about SLURM and Ray alone: --out DIR --items N --seconds S [--gate FILE].

Resumes by set difference. With a gate all items but the first four wait until that file is there; with PAYLOAD_GATE in the environment all do.
"""

import os
import socket
import sys
import time
from pathlib import Path

import ray


def work(seconds: float, gate: str) -> str:
    time.sleep(seconds)
    end = time.monotonic() + 400
    while gate and not Path(gate).exists() and time.monotonic() < end:
        time.sleep(0.2)
    return socket.gethostname()


def main() -> None:
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    out, items, seconds = Path(given["--out"]), int(given["--items"]), float(given["--seconds"])
    gates = [os.environ.get("PAYLOAD_GATE", given.get("--gate", "") if item >= 4 else "") for item in range(items)]
    out.mkdir(parents=True, exist_ok=True)
    ray.init(log_to_driver=False, logging_level="ERROR")
    remote = ray.remote(num_cpus=1, max_retries=10, scheduling_strategy="SPREAD")(work)
    pending = {remote.remote(seconds, gates[item]): item for item in range(items) if not (out / f"{item}").exists()}
    sys.stdout.write(f"{len(pending)} of {items} items are to be done\n")
    sys.stdout.flush()
    while pending:
        finished, _ = ray.wait(list(pending), num_returns=1)
        (out / f"{pending.pop(finished[0])}").write_text(ray.get(finished[0]))


if __name__ == "__main__":
    main()
