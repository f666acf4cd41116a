import numpy as np
import pytest

from deepstruc_hpc.structures.sites import canonical_permutation
from deepstruc_hpc.structures.template_lattices import standard_templates


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_atoms_are_ordered_by_distance_polar_angle_and_azimuth(seed):
    """By the words of the definition, on clusters with many equal distances and angles, about their own centroids."""
    rng = np.random.default_rng(seed)
    for template in standard_templates(6.5, 4):
        sites = template.sites[(template.distance < rng.uniform(1.5, 3.0)) & (rng.random(len(template)) < 0.9)]
        xyz = np.round(sites - sites.mean(axis=0), 9) + 0.0
        radius = np.linalg.norm(xyz, axis=1)
        polar = np.arccos(np.clip(xyz[:, 2] / np.where(radius > 0, radius, 1.0), -1.0, 1.0))
        azimuth = np.arctan2(xyz[:, 1], xyz[:, 0])
        azimuth = np.where(azimuth < -5e-7, azimuth + 2 * np.pi, azimuth)
        expected = np.lexsort([np.round(key, 6) for key in (azimuth, polar, radius)])
        np.testing.assert_array_equal(canonical_permutation(sites - sites.mean(axis=0)), expected)
