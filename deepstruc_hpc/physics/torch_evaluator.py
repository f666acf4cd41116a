"""The fit's engine on torch tensors: the same numbers as the compiled one, on any device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.physics.levenberg import Float, NormalEquations
from deepstruc_hpc.physics.separable import TAPS, Spectra
from deepstruc_hpc.physics.target import Target
from deepstruc_hpc.physics.torch_pdf import kernel, kernel_slope

_BYTES = 1_000_000_000


class TorchEvaluator:
    """Curves of all candidates at once as tensors; see :class:`~deepstruc_hpc.physics.evaluator.Evaluator`.

    No loop over candidates: gathers over the spectra, one batched contraction, one matrix product. Batches are cut so that the largest temporary
    stays below 1 GB.
    """

    def __init__(self, spectra: Spectra, target: Target, *, qbroad: float, delta1: float, free_scale: bool, device: str) -> None:
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
        per_candidate = 4 * len(target.q) * spectra.values.shape[1] * (spectra.values.shape[3] * (TAPS + 6) + TAPS * 4)
        self.block = max(1, _BYTES // per_candidate)

    def costs(self, index: NDArray[np.int64], p: Float) -> Float:
        """(C,) sums of squares at the best scale of clusters ``index`` (C,), all at the same parameters (3,)."""
        return self._reduce(index, np.broadcast_to(p, (len(index), 3)), derivatives=False).cost

    def equations(self, index: NDArray[np.int64], p: Float) -> NormalEquations:
        """Normal equations of clusters ``index`` (C,) at parameters (C, 3)."""
        return self._reduce(index, p, derivatives=True)

    def _tensor(self, array: Any) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=torch.float32, device=self.device)

    def _reduce(self, index: NDArray[np.int64], p: Float, *, derivatives: bool) -> NormalEquations:
        result = NormalEquations.empty(len(index), 3 if derivatives else 0)
        with torch.no_grad():
            for first in range(0, len(index), self.block):
                part = slice(first, min(first + self.block, len(index)))
                rows = torch.tensor(index[part], device=self.device)
                curves = self.fq(rows, self._tensor(p[part]), derivatives=derivatives) @ self.transform
                for name, values in self._normal(curves.double()).items():
                    getattr(result, name)[part] = values.cpu().numpy()
        return result

    def fq(self, index: torch.Tensor, p: torch.Tensor, *, derivatives: bool) -> torch.Tensor:
        """(C, 1 or 4, Q): F(Q) and its derivatives by zoom, uiso and delta2."""
        zoom, uiso, delta2 = p[:, 0, None], p[:, 1, None], p[:, 2, None]
        d = zoom * self.nodes
        near, nearer, wide = self.delta1 / d, delta2 / d**2, (self.qbroad * d) ** 2
        raw = 1.0 - near - nearer + wide
        open_ = (raw > 0).float()
        scale, by_zoom, by_delta2 = raw * open_, open_ * (near + 2 * nearer + 2 * wide) / zoom, -open_ / d**2
        x = (p[:, 0].double()[:, None] * self.q.double()) / self.dq + self.origin
        base = x.floor()
        offset = (x - base).float()[:, :, None] - torch.arange(-(TAPS // 2 - 1), TAPS // 2 + 1, device=self.device)
        columns = base.long()[:, :, None] + torch.arange(-(TAPS // 2 - 1), TAPS // 2 + 1, device=self.device)
        table = self.values[index[:, None, None], :, columns]  # (C, Q, T, P, M)
        weighted = table * self.weights[index].transpose(1, 2)[:, :, None, :, None]
        joined = weighted.sum(dim=3)
        uq2 = uiso * self.q**2
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
