import numpy as np
import pytest

torch = pytest.importorskip("torch")

from deepstruc_hpc.physics.debye import simulate_fq  # noqa: E402
from deepstruc_hpc.physics.separable import spectra_of  # noqa: E402
from deepstruc_hpc.physics.simulate import simulate_pdf  # noqa: E402
from deepstruc_hpc.physics.torch_pdf import SpectraTensors, fq_from_spectra, pdf_from_spectra  # noqa: E402
from tests.physics.clusters import gold  # noqa: E402

pytestmark = pytest.mark.law
STRUCTURES = [gold(n) for n in (20, 55, 120)]


def conditions(low, high):
    return torch.tensor(np.linspace(low, high, 3), dtype=torch.float32)


@pytest.fixture(scope="module")
def tensors():
    return SpectraTensors(spectra_of(STRUCTURES, q_max=25 * 3.3, max_zoom=1.0, lengths=np.full(3, 2.88)))


def test_spectra_in_units_of_the_neighbour_distance_serve_every_metal(tensors):
    zoom, uiso, delta2 = conditions(2.5, 3.2), conditions(0.003, 0.02), conditions(0.0, 4.0)
    qmin, qmax, qdamp = conditions(0.5, 1.5), conditions(15, 25), conditions(0.0, 0.05)
    r = torch.arange(2.0, 25.0, 0.1)
    found = pdf_from_spectra(
        tensors.batch([0, 1, 2]), tensors, r, zoom=zoom, uiso=uiso, delta2=delta2, qmin=qmin, qmax=qmax, qdamp=qdamp, scale=conditions(1, 2)
    )
    for i, structure in enumerate(STRUCTURES):
        expected = simulate_pdf(
            structure.symbols,
            structure.positions * float(zoom[i]) / 2.88,
            r.numpy().astype(float),
            qmin=float(qmin[i]),
            qmax=float(qmax[i]),
            qdamp=float(qdamp[i]),
            uiso=float(uiso[i]),
            delta2=float(delta2[i]),
        ) * (1 + 0.5 * i)
        assert np.abs(found[i].numpy() - expected).max() < 2e-5 * np.abs(expected).max()


def test_interpolated_spectrum_is_the_spectrum(tensors):
    q = torch.linspace(0.0, 25.0, 301).expand(3, -1)
    found = fq_from_spectra(tensors.batch([0, 1, 2]), tensors, q, zoom=conditions(2.6, 3.0), uiso=conditions(0.005, 0.01), delta2=conditions(0, 2))
    for i, structure in enumerate(STRUCTURES):
        zoom = (2.6, 2.8, 3.0)[i]
        expected = simulate_fq(structure.symbols, structure.positions * zoom / 2.88, q[0].numpy(), uiso=0.005 + 0.0025 * i, delta2=1.0 * i)
        assert np.abs(found[i].numpy() - expected).max() < 3e-5 * np.abs(expected).max()


def test_gradient_by_the_zoom_is_that_of_finite_differences(tensors):
    r = torch.arange(2.0, 15.0, 0.2)
    rest = {
        "uiso": conditions(0.01, 0.01),
        "delta2": conditions(1, 1),
        "qmin": conditions(1, 1),
        "qmax": conditions(20, 20),
        "qdamp": conditions(0, 0),
    }

    def total(zoom):
        return pdf_from_spectra(tensors.batch([0, 1, 2]), tensors, r, zoom=zoom, **rest).square().sum()

    zoom = conditions(2.7, 3.0).requires_grad_()
    total(zoom).backward()
    with torch.no_grad():
        numeric = (total(conditions(2.7, 3.0) + 2e-3) - total(conditions(2.7, 3.0) - 2e-3)) / 4e-3
    assert float(zoom.grad.sum()) == pytest.approx(float(numeric), rel=0.03)


def test_asking_beyond_the_spectra_is_an_error_and_not_a_number(tensors):
    with pytest.raises(ValueError, match="outside"):
        fq_from_spectra(tensors.batch([0]), tensors, torch.tensor([[40.0]]), zoom=torch.tensor([3.3]), uiso=torch.zeros(1), delta2=torch.zeros(1))
