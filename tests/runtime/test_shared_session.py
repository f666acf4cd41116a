"""A test that ends the shared Ray session, or hangs in it, takes no other test with it."""

import time

import pytest


@pytest.mark.ray
def test_a_session_that_has_ended_with_its_cores_held_is_made_anew(shared_ray):
    """Fails if the fixture hands out what has ended, or if what a test left running lives on: then both cores are never free."""
    import ray

    shared_ray.get()
    stuck = ray.remote(num_cpus=2)(lambda: time.sleep(600)).remote()
    assert ray.wait([stuck], timeout=0.5)[0] == []
    ray.shutdown()
    assert not shared_ray.lives()
    assert shared_ray.get().cpus == 2
    assert ray.get(ray.remote(num_cpus=2)(lambda: 42).remote(), timeout=120) == 42
