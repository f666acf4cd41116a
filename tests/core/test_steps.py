"""Where the time goes: no moment is lost between two steps, and none counts twice."""

from deepstruc_hpc.core.steps import Steps


def test_each_moment_belongs_to_the_step_that_had_begun(monkeypatch):
    """Fails if a step that comes again starts anew, or if asking for the seconds ends the step that runs."""
    now = [100.0]
    monkeypatch.setattr("deepstruc_hpc.core.steps.time.monotonic", lambda: now[0])
    steps = Steps("read")
    for name, until in (("fit", 103.0), ("search", 104.0), ("fit", 108.0), ("fit", 109.0)):
        now[0] = until
        steps.begin(name)
    now[0] = 110.0
    assert steps.seconds() == {"read": 3.0, "fit": 3.0, "search": 4.0}
    now[0] = 112.0
    assert list(steps.seconds().items()) == [("read", 3.0), ("fit", 5.0), ("search", 4.0)]
    assert sum(steps.seconds().values()) == 12.0
