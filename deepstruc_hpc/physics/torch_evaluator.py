"""The fit's engine on torch tensors: the same numbers as the compiled one, on any device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.core.shapes import Float64, Int64, Real
from deepstruc_hpc.physics.levenberg import Float, NormalEquations
from deepstruc_hpc.physics.model_kernel import TAPS
from deepstruc_hpc.physics.separable import Spectra
from deepstruc_hpc.physics.target import Target
from deepstruc_hpc.physics.torch_pdf import kernel, kernel_slope
from deepstruc_hpc.physics.uiso_groups import UisoGroups

_BYTES = 1_000_000_000


class TorchEvaluator:
    """Curves of all candidates at once as tensors; see :class:`~deepstruc_hpc.physics.evaluator.Evaluator`.

    No loop over candidates: gathers over the spectra, one batched contraction, one matrix product. Batches are cut so that the largest temporary
    stays below 1 GB.

    Args:
        spectra: the clusters.
        target: the data.
        qbroad: Å⁻¹.
        delta1: Å.
        free_scale: False keeps the scale at 1.
        device: of torch.
        groups: which elements share a U; one U for all atoms when not given.

    Raises:
        EngineError: a CUDA device where there is none.
    """

    def __init__(
        self, spectra: Spectra, target: Target, *, qbroad: float, delta1: float, free_scale: bool, device: str, groups: UisoGroups | None = None
    ) -> None:
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise EngineError(f"device {device}: torch finds no CUDA device here. Leave the device out to use the CPU.")
        self.device = torch.device(device)
        self.qbroad, self.delta1, self.free_scale = qbroad, delta1, free_scale
        self.values = self._tensor(spectra.values)
        self.weights = self._tensor(spectra.pair_weights(target.q))
        self.nodes, self.q = self._tensor(spectra.nodes), self._tensor(target.q)
        self.dq, self.origin = spectra.dq, spectra.origin
        self.transform = self._tensor(target.transform)
        self.data = torch.tensor(target.data, dtype=torch.float64, device=self.device)
        self.outside = target.outside
        several = groups is not None and len(groups) > 1
        self.shares = self._tensor(groups.shares()) if groups is not None and several else None
        self.n_parameters = 3 if groups is None else 2 + len(groups)
        per_mode = 2 * TAPS + 8 if several else TAPS + 6
        per_candidate = 4 * len(target.q) * spectra.values.shape[1] * (spectra.values.shape[3] * per_mode + TAPS * 4)
        self.block = max(1, _BYTES // per_candidate)

    def costs(self, index: Int64[NDArray[np.int64], " clusters"], p: Float64[Float, "... parameters"]) -> Float64[Float, " clusters"]:
        """(C,) sums of squares at the best scale of clusters ``index`` (C,); p is zoom, one U for all atoms, delta2: (3,) for all, or (C, 3)."""
        return self._reduce(index, np.broadcast_to(p, (len(index), 3)), derivatives=False).cost

    def equations(self, index: Int64[NDArray[np.int64], " clusters"], p: Float64[Float, "clusters parameters"]) -> NormalEquations:
        """Normal equations of clusters ``index`` (C,) at parameters (C, 2 + G)."""
        return self._reduce(index, p, derivatives=True)

    def _tensor(self, array: Any) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=torch.float32, device=self.device)

    def _reduce(self, index: NDArray[np.int64], p: Float, *, derivatives: bool) -> NormalEquations:
        result = NormalEquations.empty(len(index), self.n_parameters if derivatives else 0)
        with torch.no_grad():
            for first in range(0, len(index), self.block):
                part = slice(first, min(first + self.block, len(index)))
                rows = torch.tensor(index[part], device=self.device)
                curves = self.fq(rows, self._tensor(p[part]), derivatives=derivatives) @ self.transform
                for name, values in self._normal(curves.double()).items():
                    getattr(result, name)[part] = values.cpu().numpy()
        return result

    def fq(
        self, index: Real[torch.Tensor, " clusters"], p: Real[torch.Tensor, "... parameters"], *, derivatives: bool
    ) -> Real[torch.Tensor, "clusters rows q"]:
        """F(Q) and its derivatives.

        Args:
            index: (C,) numbers of clusters.
            p: (C, 2 + G) zoom, U of each group, delta2; (C, 3), one U for all atoms, without derivatives.
            derivatives: also those by zoom, the U of each group and delta2.

        Returns:
            (C, 1 or 3 + G, Q) Å⁻¹.
        """
        zoom, d = p[:, 0, None], p[:, 0, None] * self.nodes
        near, nearer, wide = self.delta1 / d, p[:, -1, None] / d**2, (self.qbroad * d) ** 2
        raw = 1.0 - near - nearer + wide
        open_ = (raw > 0).float()
        widths = raw * open_, open_ * (near + 2 * nearer + 2 * wide) / zoom, -open_ / d**2
        x = (p[:, 0].double()[:, None] * self.q.double()) / self.dq + self.origin
        base = x.floor()
        offset = (x - base).float()[:, :, None] - torch.arange(-(TAPS // 2 - 1), TAPS // 2 + 1, device=self.device)
        columns = base.long()[:, :, None] + torch.arange(-(TAPS // 2 - 1), TAPS // 2 + 1, device=self.device)
        table = self.values[index[:, None, None], :, columns]  # (C, Q, T, P, M)
        weighted = table * self.weights[index].transpose(1, 2)[:, :, None, :, None]
        if derivatives and self.shares is not None:
            return self._group_derivatives(zoom, p[:, 1:-1] @ self.shares.T, widths, offset, weighted)
        scale, by_zoom, by_delta2 = widths
        joined = weighted.sum(dim=3)
        uq2 = p[:, 1, None] * self.q**2
        damping = torch.exp(-uq2[:, :, None] * scale[:, None, :])
        term = damping * torch.einsum("cqt,cqtm->cqm", kernel(offset), joined)
        value = term.sum(dim=2) / zoom
        if not derivatives:
            return value[:, None]
        slope = (damping * torch.einsum("cqt,cqtm->cqm", kernel_slope(offset), joined)).sum(dim=2)
        in_zoom = (slope * self.q / self.dq - uq2 * torch.einsum("cqm,cm->cq", term, by_zoom) - value) / zoom
        in_uiso = -(self.q**2) * torch.einsum("cqm,cm->cq", term, scale) / zoom
        in_delta2 = -uq2 * torch.einsum("cqm,cm->cq", term, by_delta2) / zoom
        return torch.stack([value, in_zoom, in_uiso, in_delta2], dim=1)

    def _group_derivatives(
        self,
        zoom: torch.Tensor,
        uiso: torch.Tensor,
        widths: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        offset: torch.Tensor,
        weighted: torch.Tensor,
    ) -> torch.Tensor:
        """(C, 3 + G, Q) with a U for each pair of elements, ``uiso`` (C, P) Å²; ``weighted`` (C, Q, T, P, M) are the spectra around each q."""
        scale, by_zoom, by_delta2 = widths
        uq2 = uiso[:, None, :] * self.q[:, None] ** 2  # (C, Q, P)
        damping = torch.exp(-uq2[:, :, :, None] * scale[:, None, None, :])
        term = damping * torch.einsum("cqt,cqtpm->cqpm", kernel(offset), weighted)
        slope = (damping * torch.einsum("cqt,cqtpm->cqpm", kernel_slope(offset), weighted)).sum(dim=(2, 3))
        value = term.sum(dim=(2, 3)) / zoom
        in_zoom = (slope * self.q / self.dq - torch.einsum("cqp,cqpm,cm->cq", uq2, term, by_zoom) - value) / zoom
        in_uiso = -(self.q**2) * torch.einsum("cqpm,cm,pg->cgq", term, scale, self.shares) / zoom[:, :, None]
        in_delta2 = -torch.einsum("cqp,cqpm,cm->cq", uq2, term, by_delta2) / zoom
        return torch.cat([value[:, None], in_zoom[:, None], in_uiso, in_delta2[:, None]], dim=1)

    def _normal(self, curves: torch.Tensor) -> dict[str, torch.Tensor]:
        gram = curves @ curves.transpose(1, 2)
        with_data = curves @ self.data
        norm = gram[:, 0, 0].clamp(min=1e-300)
        scale = (with_data[:, 0] / norm).clamp(min=0.0) if self.free_scale else torch.ones_like(norm)
        cost = self.outside + ((self.data - scale[:, None] * curves[:, 0]) ** 2).sum(dim=1)
        projected = gram[:, 1:, 0] / norm[:, None] * (1.0 if self.free_scale else 0.0)
        left = with_data - scale[:, None] * gram[:, :, 0]
        gradient = scale[:, None] * (left[:, 1:] - projected * left[:, :1])
        hessian = (scale**2)[:, None, None] * (gram[:, 1:, 1:] - projected[:, :, None] * gram[:, None, 0, 1:])
        factors = torch.cat([torch.ones_like(scale)[:, None], scale[:, None].expand(-1, curves.shape[1] - 1)], dim=1)
        full = gram * factors[:, :, None] * factors[:, None, :]
        return {"cost": cost, "scale": scale, "hessian": hessian, "gradient": gradient, "full": full}
