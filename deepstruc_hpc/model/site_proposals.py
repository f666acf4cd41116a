"""Proposals of a decoder over sites: several template lattices by probability, latent samples, and several cuts of the nested family of sites."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from deepstruc_hpc.model.sites import FEWEST_ATOMS, SitesDecoder, expected_atoms
from deepstruc_hpc.structures.assignment import oriented

TEMPLATE_SAMPLES = 64
"""Samples of the prior over which the probabilities of types and template lattices are averaged."""
ODDS_SAMPLES = 16
"""Samples of the prior over which the probabilities of sites are averaged."""
POINTS_SHARE, FEWEST_POINTS = 6, 4
"""About so many proposals come from a latent point; so many points are drawn at least."""
MOST_TEMPLATES = 8
LEAST_PROBABILITY = 2e-3
CUTS = 4
BEYOND = 1.2
"""Latent points are evaluated at sites up to this many times the size that the mean point means, and a little more."""
POINTS = 8
"""Latent points evaluated at once: their hidden layers stay in a core's cache."""
UNSURE = 2.5
"""Sites with logits up to this from zero may be filled or not: between them a structure may be cut."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SiteProposal:
    """An assignment.

    Attributes:
        template: number of the template lattice.
        mask: (S,) its filled sites, in the representative under the template lattice's symmetry.
        sample: number of the latent point.
        template_probability: p(template lattice | PDF), averaged over the latent points.
    """

    template: int
    mask: Mask
    sample: int
    template_probability: float


def points_about(latent_dim: int, n_samples: int, sigma: float, rng: np.random.Generator) -> Floats:
    """(B, latent) latent points about the mean of a prior, in its standard deviations; the first is the mean.

    Args:
        latent_dim: of the latent space.
        n_samples: proposals that are wanted.
        sigma: width; the distance from the mean is kept as it would be in two dimensions.
        rng: random numbers.
    """
    offsets = sigma * np.sqrt(2.0 / latent_dim) * rng.standard_normal((max(FEWEST_POINTS, -(-n_samples // POINTS_SHARE)), latent_dim))
    offsets[:1] = 0.0
    return np.asarray(offsets)


@torch.inference_mode()
def template_probabilities(decoder: SitesDecoder, points: Floats, device: torch.device) -> Floats:
    """(P,) probabilities of the template lattices, averaged over (B, latent) points."""
    z = torch.from_numpy(points.astype(np.float32)).to(device)
    probabilities: Floats = decoder(z).template_logits.double().softmax(dim=1).mean(dim=0).cpu().numpy()
    return probabilities


def propose_occupations(
    decoder: SitesDecoder, points: Floats, probabilities: Floats, *, count: int, max_atoms: int, device: torch.device
) -> list[SiteProposal]:
    """At most ``count`` different assignments, the most probable template lattice's first.

    Every template gets a share in proportion to the root of its probability, so that less probable ones are tried too; what a template does
    not use goes to the next. The first cuts of all latent points come before the second cuts, and so on.

    Args:
        decoder: of the model.
        points: (B, latent), the prior's mean first.
        probabilities: (P,) of the template lattices.
        count: how many.
        max_atoms: of the largest structure.
        device: of the decoder.
    """
    ranked = [int(template) for template in np.argsort(-probabilities, kind="stable")[:MOST_TEMPLATES]]
    chosen = [template for template in ranked if probabilities[template] >= LEAST_PROBABILITY] or ranked[:1]
    weight = np.sqrt(probabilities[chosen])
    found: list[SiteProposal] = []
    for place, template in enumerate(chosen):
        left = count - len(found)
        share = left if place == len(chosen) - 1 else int(np.ceil(left * weight[place] / weight[place:].sum()))
        for mask, sample in _different(decoder, points, template, max_atoms, device):
            if share == 0:
                break
            share -= 1
            found.append(SiteProposal(template, mask, sample, float(probabilities[template])))
    return found


def _different(decoder: SitesDecoder, points: Floats, template: int, max_atoms: int, device: torch.device) -> Iterator[tuple[Mask, int]]:
    """Different assignments of one template lattice and the latent points that they come from.

    A point is asked when its turn comes: where the caller has enough after some points, the others cost nothing.
    """
    known = decoder.book.template(template)
    seen: set[bytes] = set()
    yielded: set[bytes] = set()
    families: list[tuple[NDArray[np.intp], list[int]]] = []

    def in_turn(turn: int) -> Iterator[tuple[NDArray[np.intp], list[int]]]:
        if turn:
            yield from families
            return
        for row in _near_logits(decoder, points, template, device):
            families.append((np.argsort(-row, kind="stable"), nested_cuts(row, max_atoms)))
            yield families[-1]

    for turn in range(CUTS):
        for sample, (order, sizes) in enumerate(in_turn(turn)):
            if turn >= len(sizes):
                continue
            mask = np.zeros(len(known), dtype=bool)
            mask[order[: sizes[turn]]] = True
            if mask.tobytes() in seen:
                continue
            seen.add(mask.tobytes())
            representative = oriented(known, mask)
            if representative.tobytes() not in yielded:
                yielded.add(representative.tobytes())
                yield representative, sample


def _near_logits(decoder: SitesDecoder, points: Floats, template: int, device: torch.device) -> Iterator[NDArray[np.float32]]:
    """(K,) logits of the K sites nearest to the origin for each of (B, latent) points.

    Sites far outside of what the first point means are not evaluated: most of a template lattice's sites are empty.
    """
    known = decoder.book.template(template)
    first = next(_logits(decoder, points[:1], template, device))
    size = float(known.distance[first > -UNSURE].max(initial=known.distance[FEWEST_ATOMS]))
    near = int(np.searchsorted(known.distance, BEYOND * size + 0.8, side="right"))
    return _logits(decoder, points, template, device, near)


def _logits(decoder: SitesDecoder, points: Floats, template: int, device: torch.device, first: int | None = None) -> Iterator[NDArray[np.float32]]:
    """Logits of one point after the other, (S,) or of the ``first`` sites only; made for a few points at a time."""
    z = torch.from_numpy(points.astype(np.float32)).to(device)
    for start in range(0, len(z), POINTS):
        with torch.inference_mode():
            evaluated = decoder.site_logits(z[start : start + POINTS], template, first).cpu().numpy()
        yield from evaluated


def most_probable_sites(decoder: SitesDecoder, points: Floats, template: int, max_atoms: int, device: torch.device) -> list[Mask]:
    """The assignment of one template that each of (B, latent) points means: sites more probably filled than empty, few enough and not too few.

    Args:
        decoder: of the model.
        points: (B, latent).
        template: its number.
        max_atoms: of the largest structure.
        device: of the decoder.
    """
    masks = []
    for logits in _near_logits(decoder, points, template, device):
        mask = np.zeros(len(decoder.book.template(template)), dtype=bool)
        mask[np.argsort(-logits, kind="stable")[: nested_cuts(logits, max_atoms)[0]]] = True
        masks.append(mask)
    return masks


def site_order(decoder: SitesDecoder, points: Floats, template: int, device: torch.device) -> NDArray[np.intp]:
    """(B, S) sites of one template from the most to the least probable at each of (B, latent) points: any number of the first is a structure."""
    return np.argsort(-np.stack(list(_logits(decoder, points, template, device))), axis=1, kind="stable")


def log_odds(decoder: SitesDecoder, points: Floats, template: int, device: torch.device) -> Floats:
    """(S,) ln p/(1 − p) of the sites of one template lattice, p averaged over (B, latent) points."""
    share = np.mean([1.0 / (1.0 + np.exp(-row.astype(np.float64))) for row in _logits(decoder, points, template, device)], axis=0)
    share = np.clip(share, 1e-12, 1.0 - 1e-12)
    return np.asarray(np.log(share) - np.log1p(-share))


def nested_cuts(logits: NDArray[np.float32], max_atoms: int) -> list[int]:
    """Numbers of most probable sites at which to cut: the expected number first, then at the largest gaps between sites that may be filled or not.

    Args:
        logits: (S,).
        max_atoms: of the largest structure.
    """
    ordered = np.sort(logits)[::-1]
    plain = min(expected_atoms(logits), max_atoms)
    low, high = (
        min(max(int(np.count_nonzero(ordered > limit)), FEWEST_ATOMS), most)
        for limit, most in ((UNSURE, max_atoms), (-UNSURE, min(max_atoms, len(ordered) - 1)))
    )
    gaps = ordered[low - 1 : high] - ordered[low : high + 1]
    widest = low + np.argsort(-gaps, kind="stable")[:CUTS]
    return [plain, *[size for size in widest.tolist() if size != plain][: CUTS - 1]]
