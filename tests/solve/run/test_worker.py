"""What a worker asks for one file, and what it may keep for the next one."""

import pytest

from deepstruc_hpc.data.structure_files import write_xyz
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.run.worker import Solver, WorkerPlan


@pytest.fixture
def solver(shapes_store, shape_of, tmp_path):
    write_xyz(shape_of("fcc"), tmp_path / "mine.xyz")
    return Solver(WorkerPlan(out=tmp_path / "out", settings=SolveSettings(), catalog=shapes_store, structures=(str(tmp_path),)))


def test_sources_are_asked_in_the_order_in_which_they_are_named(solver):
    chosen = solver.sources(SolveSettings(sources="structures,catalog,crystals")).sources
    assert [source.name for source in chosen] == ["structures", "catalog", "crystals"]


def test_without_a_model_nothing_is_sampled_and_nothing_searched_in_a_latent_space(solver):
    found = solver.sources(SolveSettings(sources="cvae,catalog"))
    assert [source.name for source in found.sources] == ["catalog"]
    assert found.generator is None


def test_a_setting_of_one_file_is_not_kept_for_the_next(solver):
    """Fails when a source that was made with the settings of the first file serves all."""
    made = [solver.sources(SolveSettings(sources="structures", structures_sizes=sizes)).sources[0].sizes for sizes in (False, True, False)]
    assert made == [False, True, False]


def test_the_elements_of_a_catalog_are_offered_only_where_the_user_chose_it(shapes_store, tmp_path):
    def offered(*, own):
        return Solver(WorkerPlan(out=tmp_path, settings=SolveSettings(), catalog=shapes_store, own_elements=own)).sources(SolveSettings()).elements

    assert (offered(own=True), offered(own=False)) == (("Au",), ())
