"""Wait until a Ray cluster is whole: ``python -m deepstruc_hpc.runtime.ray_ready --nodes 2 --cpus-per-node 16``.

A job's script calls it between starting Ray and running the work, so that a job whose Ray did not come up whole fails with a reason instead of
working on a part of what it holds, or on nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def missing_resources(nodes: Sequence[Mapping[str, Any]], *, count: int, cpus_per_node: float, gpus_per_node: float) -> str:
    """What a cluster lacks, in words; empty when it is whole.

    Args:
        nodes: as ``ray.nodes()`` gives them.
        count: how many nodes must be alive.
        cpus_per_node: CPUs that each of them must offer to Ray.
        gpus_per_node: GPUs that each of them must offer to Ray.
    """
    alive = [node for node in nodes if node["Alive"]]
    names = ", ".join(str(node["NodeManagerHostname"]) for node in alive) or "none"
    lacks = [f"{len(alive)} of {count} nodes are up ({names})"] if len(alive) < count else []
    for node in alive:
        offered = node.get("Resources", {})
        for kind, needed in (("CPU", cpus_per_node), ("GPU", gpus_per_node)):
            if offered.get(kind, 0) < needed:
                lacks.append(f"{node['NodeManagerHostname']} offers {offered.get(kind, 0):g} of {needed:g} {kind}")
    return "; ".join(lacks)


def wait_for(list_nodes: Callable[[], Sequence[Mapping[str, Any]]], *, count: int, cpus_per_node: float, gpus_per_node: float, timeout: float) -> str:
    """Poll until the cluster is whole or the time (s) is over; returns what was missing at the end, empty when nothing was."""
    end = time.monotonic() + timeout
    while True:
        lacks = missing_resources(list_nodes(), count=count, cpus_per_node=cpus_per_node, gpus_per_node=gpus_per_node)
        if not lacks or time.monotonic() >= end:
            return lacks
        time.sleep(0.5)


def join(init: Callable[..., Any], end: float, pause: float = 1.0) -> str:
    """Join the Ray at ``RAY_ADDRESS``; a head that is on its way refuses at first. Returns why it still refuses at ``end`` (monotonic time, s)."""
    while True:
        try:
            init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as refused:
            if time.monotonic() >= end:
                return " ".join(str(refused).split())[:300]
            time.sleep(pause)
        else:
            return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the nodes and return 0, or print what is missing and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--cpus-per-node", type=float, default=0)
    parser.add_argument("--gpus-per-node", type=float, default=0)
    parser.add_argument("--timeout", type=float, default=300, help="seconds")
    options = parser.parse_args(arguments)
    import ray

    end = time.monotonic() + options.timeout
    refused = join(ray.init, end)
    if refused:
        sys.stdout.write(f"no connection to Ray at {os.environ['RAY_ADDRESS']} ({refused})\n")
        return 1
    left = end - time.monotonic()
    lacks = wait_for(ray.nodes, count=options.nodes, cpus_per_node=options.cpus_per_node, gpus_per_node=options.gpus_per_node, timeout=left)
    resources = ray.cluster_resources()
    ray.shutdown()
    whole = f"{options.nodes} nodes, {resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs"
    sys.stdout.write(f"{lacks or whole}\n")
    return 1 if lacks else 0


if __name__ == "__main__":
    sys.exit(main())
