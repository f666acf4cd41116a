"""The objective: divergence, reconstruction over real atoms only, schedules."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from deepstruc_hpc.model.losses import CvaeObjective, LossConfig, balanced_kl, gaussian_kl, kl_weight
from deepstruc_hpc.model.parts import Gaussian, Targets, TrainingBatch
from deepstruc_hpc.training.step import to_tensors
from tests.model.clusters import TINY, tiny_network, view


def batch(rows=(0, 3, 5, 8), **kwargs):
    return to_tensors(view().batch(np.array(rows), np.random.default_rng(0), **kwargs))


def test_the_divergence_is_that_of_torch_distributions():
    generator = torch.Generator().manual_seed(1)
    q, p = (Gaussian(torch.randn(5, 3, generator=generator), torch.randn(5, 3, generator=generator)) for _ in range(2))
    expected = kl_divergence(Normal(q.mean, q.log_std.exp()), Normal(p.mean, p.log_std.exp())).sum(dim=1)
    assert gaussian_kl(q, p).numpy() == pytest.approx(expected.numpy(), rel=1e-4)
    assert gaussian_kl(q, q).numpy() == pytest.approx(np.zeros(5), abs=1e-6)


def test_balancing_changes_who_is_moved_by_the_divergence_not_its_value():
    generator = torch.Generator().manual_seed(1)
    q, p = (Gaussian(torch.randn(5, 3, generator=generator).requires_grad_(), torch.zeros(5, 3)) for _ in range(2))
    gradients = {balance: torch.autograd.grad(balanced_kl(q, p, balance).sum(), (q.mean, p.mean)) for balance in (0.5, 0.9)}
    assert balanced_kl(q, p, 0.9).detach().numpy() == pytest.approx(gaussian_kl(q, p).detach().numpy(), rel=1e-5)
    assert gradients[0.9][0].numpy() == pytest.approx(0.2 * gradients[0.5][0].numpy(), rel=1e-4)
    assert gradients[0.9][1].numpy() == pytest.approx(1.8 * gradients[0.5][1].numpy(), rel=1e-4)


def test_what_is_written_beyond_the_real_atoms_costs_nothing():  # fails with -1 padding
    network, data = tiny_network(), batch()
    output = network.decode(torch.zeros(4, TINY.latent_dim))
    padded = data.targets.positions + 1e6 * (1.0 - data.targets.mask())[:, :, None]
    spoiled = Targets(padded, data.targets.n_atoms, data.targets.structure_type)
    for name, term in network.decoder.losses(output, data.targets).items():
        assert torch.equal(term, network.decoder.losses(output, spoiled)[name])
    assert torch.equal(network.decoder.errors(output, data.targets)["mae"], network.decoder.errors(output, spoiled)["mae"])


def test_a_small_cluster_weighs_as_much_as_a_large_one():
    network, data = tiny_network(), batch()
    output = network.decode(torch.zeros(4, TINY.latent_dim))
    single = [
        network.decoder.losses(
            type(output)(output.positions[i : i + 1], output.n_atoms_logits[i : i + 1], output.type_logits[i : i + 1]), only(data.targets, i)
        )
        for i in range(4)
    ]
    together = network.decoder.losses(output, data.targets)
    for name in together:
        assert float(together[name].detach()) == pytest.approx(np.mean([float(terms[name].detach()) for terms in single]), rel=1e-5)


def only(targets, row):
    return Targets(targets.positions[row : row + 1], targets.n_atoms[row : row + 1], targets.structure_type[row : row + 1])


def test_the_prior_sees_the_pdf_alone_and_the_posterior_the_structure_too():
    network = tiny_network().eval()
    one, other = batch((0, 3)), batch((5, 8))
    same_pdf = one.pdf
    assert torch.equal(network.prior(same_pdf).mean, network.prior(same_pdf).mean)
    assert not torch.allclose(network.encode(one.graphs, same_pdf).mean, network.encode(other.graphs, same_pdf).mean)


def test_the_posterior_of_a_structure_does_not_depend_on_its_neighbours_in_the_batch():  # fails if graphs mix
    network = tiny_network().eval()
    together = batch((0, 3, 5))
    alone = TrainingBatch(together.pdf[1:2], batch((3,)).graphs, only(together.targets, 1), together.nn_distance[1:2])
    assert network.encode(together.graphs, together.pdf).mean[1].detach().numpy() == pytest.approx(
        network.encode(alone.graphs, alone.pdf).mean[0].detach().numpy(), abs=1e-5
    )


def test_all_parts_learn_from_one_step():
    objective = CvaeObjective(tiny_network(), LossConfig())
    total, terms = objective(batch(n_graphs=2), torch.randn(2, 4, TINY.latent_dim), 0.01)
    total.backward()
    untouched = [name for name, parameter in objective.named_parameters() if parameter.grad is None]
    assert not untouched
    assert set(terms) == {"loss", "kl", "positions", "n_atoms", "structure_type"}


def test_a_fresh_network_spreads_structures_over_the_latent_space():  # fails without data-dependent initialisation: they fall on one point
    network, data = tiny_network(), batch(tuple(range(len(view()))))
    network.initialise(data.graphs, data.pdf)
    for found in (network.prior(data.pdf), network.encode(data.graphs, data.pdf)):
        covariance = np.cov(found.mean.detach().numpy().T)
        assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.05
        assert np.diag(covariance).max() == pytest.approx(1.0, abs=0.05)
        assert np.diag(covariance).min() > 0.1  # less than 1 only where a direction hardly differs between the structures


def test_the_weight_of_the_divergence_rises_and_then_stays():
    config = LossConfig(kl=0.02, kl_start=0.001, kl_until=0.4)
    weights = [kl_weight(config, progress) for progress in (0.0, 0.1, 0.2, 0.4, 1.0)]
    assert weights[0] == pytest.approx(0.001)
    assert weights == sorted(weights)
    assert weights[3] == weights[4] == pytest.approx(0.02)
