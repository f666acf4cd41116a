"""The encoder in plain torch gives the numbers of torch-geometric, with the same weights, and a model in use needs nothing of torch-geometric."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepstruc_hpc.model.checkpoint import PRETRAINED_DIR, load_weights, read_info
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.message_passing import GineConvolution, maximum_by_owner, mean_by_owner
from deepstruc_hpc.model.parts import GraphBatch

PROJECT = Path(__file__).parents[2]
NOT_NEEDED = (
    *("torch_geometric", "torch._dynamo", "torch._inductor", "torch.onnx", "mlflow", "ray"),
    *("sklearn", "matplotlib", "plotly", "pymatgen", "pandas"),
)
IN_USE = f"""
import json, sys
import numpy as np
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.model.checkpoint import load_model

model = load_model("default")
curve = read_pdf("examples/pdfs/sample-01-Au.gr")
proposals = model.propose(curve, symbol="Au", n_samples=8, sigma=1.0, rng=np.random.default_rng(0))
model.encode(proposals[0].structure, curve)
model.decode(model.prior(curve, symbol="Au")[0])
print(json.dumps([name for name in {NOT_NEEDED!r} if name in sys.modules]), len(proposals))
"""


def random_graphs(sizes, seed=0):
    """Graphs with random features and bonds; the first atom of each has no bond."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    bonds = [start + 1 + rng.integers(0, size - 1, size=(2, 6 * size)) for start, size in zip(starts, sizes, strict=True) if size > 1]
    edges = np.concatenate(bonds, axis=1)
    return GraphBatch(
        torch.from_numpy(rng.standard_normal((sum(sizes), 3)).astype(np.float32)),
        torch.from_numpy(edges),
        torch.from_numpy(rng.standard_normal((edges.shape[1], 2)).astype(np.float32)),
        torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
        len(sizes),
    )


def test_the_convolution_is_that_of_torch_geometric():
    """Fails if messages run against the bonds, ε is added twice, or a parameter has another name."""
    from torch_geometric.nn import GINEConv

    theirs = GINEConv(nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8)), edge_dim=2)
    ours = GineConvolution(nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8)), edge_dim=2)
    ours.load_state_dict(theirs.state_dict())
    graphs = random_graphs([5, 13, 1, 40])
    one_way = graphs.edges[:, ::2]
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((59, 8)).astype(np.float32))
    with torch.no_grad():
        expected = theirs(x, one_way, graphs.bonds[::2])
        np.testing.assert_allclose(ours(x, one_way, graphs.bonds[::2]), expected, atol=1e-6)
    assert float(expected.abs().max()) > 0.1


@pytest.mark.parametrize(("ours", "reduce"), [(mean_by_owner, "mean"), (maximum_by_owner, "max")])
def test_pooling_and_its_gradient_are_those_of_torch_geometric(ours, reduce):
    """One owner has no rows, one has a single row, and all values of one are negative: a maximum with 0 would show. Two rows of one tie."""
    from torch_geometric.utils import scatter

    owner = torch.tensor([0, 0, 0, 1, 3, 3, 3, 3])
    values = torch.from_numpy(np.random.default_rng(2).standard_normal((8, 5)))
    values[:3] = -values[:3].abs()
    values[5] = values[4]
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((4, 5)))
    results = []
    for function in (lambda x: ours(x, owner, 4), lambda x: scatter(x, owner, dim=0, dim_size=4, reduce=reduce)):
        x = values.clone().requires_grad_()
        out = function(x)
        (out * weight).sum().backward()
        results.append((out.detach(), x.grad))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-12)


def test_a_seed_gives_the_same_fresh_network_in_both():
    """Else a training of one version would begin elsewhere than the training of another with the same seed."""
    from torch_geometric.nn import GINEConv

    found = []
    for convolution in (GineConvolution, GINEConv):
        torch.manual_seed(7)
        found.append(convolution(nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8)), edge_dim=2).state_dict())
    assert list(found[0]) == list(found[1])
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_the_shipped_weights_say_the_same_in_both():
    """The whole posterior, from the weights that come with the program; both read the same file, so neither renames a parameter."""
    from torch_geometric.nn import GINEConv

    directory = PRETRAINED_DIR / "default"
    config = read_info(directory).model
    graphs = random_graphs([5, 13, 55, 147], seed=4)
    pdf = torch.from_numpy(np.random.default_rng(5).random((4, 2, config.readings)).astype(np.float32))
    found = []
    for convolution in (GineConvolution, GINEConv):
        network = Cvae(config, convolution=convolution)
        load_weights(network, directory)
        with torch.no_grad():
            found.append(network.eval().encode(graphs, pdf))
    np.testing.assert_allclose(found[0].mean, found[1].mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[0].log_std, found[1].log_std, rtol=1e-5, atol=1e-6)


def test_a_model_in_use_imports_nothing_that_it_does_not_need():
    """Each of them costs a second or more in every worker; a process of its own, because other tests import them."""
    done = subprocess.run([sys.executable, "-c", IN_USE], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    there, proposals = done.stdout.rsplit(maxsplit=1)
    assert json.loads(there) == []
    assert int(proposals) == 8
