"""What a generator is: the contract between a model of any kind and the programs that ask it.

:class:`~deepstruc_hpc.model.generator.StructureModel`, the CVAE, is one generator. Any other class that offers these methods may stand in its place:
``deepstruc-hpc solve --model FILE.py:NAME``. Only :meth:`Generator.propose` must be written; a class that inherits from :class:`Generator` has the
other methods with the answer "nothing is known". :func:`deepstruc_hpc.testing.check_generator` tells whether a generator keeps the contract.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.model.proposal import Proposal

if TYPE_CHECKING:
    from deepstruc_hpc.core.curve import PdfCurve
    from deepstruc_hpc.physics.instrument import Instrument
    from deepstruc_hpc.structures.template_lattices import TemplateLattice

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

CLOSEST_CONTACT = 0.6
"""Share of the nearest-neighbour distance. A structure with two atoms nearer than this is none: the shortest bonds of icosahedra lie at 0.95 of the
mean, those of strained surfaces above 0.9."""


class SearchSpace(Protocol):
    """The latent space of a generator that decodes occupations of template lattices, for one curve.

    Attributes:
        templates: L of them.
        names: of each.
        kinds: structure type of each.
        probability: (L,) of each for this curve.
        mean, std: (D,) of the prior over latent points, the widths as calibrated.
        most_atoms: of the largest structure.
    """

    @property
    def templates(self) -> Sequence[TemplateLattice]: ...  # noqa: D102
    @property
    def names(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def kinds(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def probability(self) -> Floats: ...  # noqa: D102
    @property
    def mean(self) -> Floats: ...  # noqa: D102
    @property
    def std(self) -> Floats: ...  # noqa: D102
    @property
    def most_atoms(self) -> int: ...  # noqa: D102

    def occupations(self, points: Floats, template: int) -> list[Mask]:
        """The most probable occupation of a template lattice, (S,) bool, at each of (B, D) latent points."""
        ...

    def site_order(self, point: Floats, template: int) -> NDArray[np.intp]:
        """(S,) sites from the most to the least probable at one (D,) latent point."""
        ...


class Generator(Protocol):
    """What solving asks of a generative model.

    A generator keeps no state between calls: what it proposes depends on the curve, the arguments and the random numbers that it is given, and on
    nothing else. So a curve has one answer on every worker and in every order.
    """

    @property
    def name(self) -> str:
        """A word that names it in ``candidates.csv``, in the column ``source``."""
        return type(self).__name__

    @property
    def identity(self) -> str:
        """Different for generators that answer differently: a hash of the weights, a version. It decides whether a curve is solved again."""
        return ""

    @property
    def decodes_elements(self) -> bool:
        """Whether structures come with elements of their own. Else solving asks it about metals alone, and sets the element."""
        return False

    def prior(self, curve: PdfCurve, /, *, symbol: str | None = None, instrument: Instrument | None = None) -> tuple[Floats, Floats]:
        """Mean and standard deviation, (D,) each, of p(z | PDF); of length 0 for a generator without a latent space."""
        del curve, symbol, instrument
        return np.zeros(0), np.zeros(0)

    @abstractmethod
    def propose(
        self,
        curve: PdfCurve,
        *,
        symbol: str,
        n_samples: int,
        sigma: float,
        rng: np.random.Generator,
        instrument: Instrument | None = None,
        elements: Sequence[str] = (),
    ) -> Sequence[Proposal]:
        """At most ``n_samples`` structures for a curve, the best first.

        Args:
            curve: measured G(r), r in Å.
            symbol: element of every atom, where elements are not decoded.
            n_samples: how many.
            sigma: how far from the most probable to look, in standard deviations of the prior; called once for each width.
            rng: the only source of random numbers.
            instrument: how the curve was measured.
            elements: of the sample, from which a generator that decodes elements may choose.
        """
        ...

    def type_probabilities(self, curve: PdfCurve, *, symbol: str | None = None, instrument: Instrument | None = None) -> Mapping[str, float]:
        """Probability of each structure type before anything is fitted; empty where the generator does not say.

        The lattices' add up to one. An outline (``octahedral``) has the probability of its lattice (``fcc``).
        """
        del curve, symbol, instrument
        return {}

    def site_odds(
        self, curve: PdfCurve, *, symbol: str, instrument: Instrument | None = None, elements: Sequence[str] = ()
    ) -> Callable[[str], Floats | None]:
        """A function of a template lattice's name to (S,) ln p/(1 − p) of its sites, nats, or None where the generator knows nothing of it.

        Args:
            curve: as for :meth:`propose`.
            symbol: as for :meth:`propose`.
            instrument: as for :meth:`propose`.
            elements: of the sample; given only to a generator that decodes elements.
        """
        del curve, symbol, instrument, elements
        return lambda _: None

    def search_space(self, curve: PdfCurve, *, symbol: str, instrument: Instrument, rng: np.random.Generator) -> SearchSpace | None:
        """The latent space to search in, or None for a generator that decodes no occupations."""
        del curve, symbol, instrument, rng
        return None


__all__ = ["CLOSEST_CONTACT", "Generator", "Proposal", "SearchSpace"]
