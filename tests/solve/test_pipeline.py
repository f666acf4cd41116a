"""One curve to one answer: what decides it, and what does not."""

import json

import pandas as pd
import pytest

from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.solve.candidates.candidate import CandidateSet
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.pipeline import Sources, solve_curve
from deepstruc_hpc.solve.run.batch import solve

SMALL = {"sources": "cvae", "samples": 12, "latent_search": 16, "local_shapes": 30, "workers": 0}


def _answer(folder):
    return {name: (folder / name).read_bytes() for name in ("candidates.csv", "types.csv", "fit.csv", "latent.csv")}


def test_the_same_bytes_under_three_names_give_the_same_answer(measured, shapes_store, tmp_path):
    """Samples, latent search and neighbours draw random numbers. Fails when they follow the file's name or its place in the batch."""
    data = (measured / "decahedral.gr").read_bytes()
    (tmp_path / "below").mkdir()
    for name in ("a.gr", "quite another name.gr", "below/z.gr"):
        (tmp_path / name).write_bytes(data)
    frame = solve(tmp_path, tmp_path / "out", recursive=True, catalog=shapes_store, **SMALL)
    assert list(frame["status"]) == ["ok"] * 3
    answers = [_answer(folder) for folder in (tmp_path / "out" / name for name in frame["folder"])]
    assert answers[0] == answers[1] == answers[2]
    result = json.loads((tmp_path / "out" / "a" / "result.json").read_text())
    details, steps = result["details"], result["details"]["seconds"]
    assert list(steps) == ["read", "propose", "describe", "fit", "search", "phases", "rank", "check", "tables"]
    assert sum(steps.values()) == pytest.approx(result["seconds"], rel=0.01), "every second belongs to a step"
    assert min(steps["propose"], steps["search"], steps["rank"], steps["tables"]) > 0
    counts, given = details["counts"], details["sources"]
    assert given["cvae"]["candidates"] > 0
    assert min(one["best_rw"] for one in given.values() if one["candidates"]) == pytest.approx(
        pd.read_csv(tmp_path / "out" / "a" / "candidates.csv")["rw"].min(), abs=1e-4
    )
    assert {"cvae", "neighbour"} <= {name for name, one in given.items() if one["seconds"] > 0}
    assert counts["samples"] == 12
    assert counts["latent_search"] > 0
    assert counts["neighbours"] > 0


def test_a_time_limit_ends_a_file_with_a_word_and_changes_no_answer(measured, shapes_store, tmp_path):
    """Fails when a limit makes a search stop early and the file still counts as solved, or when it is part of what identifies an answer."""
    common = {"catalog": shapes_store, "sources": "catalog", "local_shapes": 60, "workers": 0}
    short = solve(measured / "fcc.gr", tmp_path / "a", time_limit_s=0.001, **common).iloc[0]
    assert short["status"] == "failed"
    assert "time limit of 0.001 s" in short["message"]
    assert not (tmp_path / "a" / "fcc").exists()
    for out, limit in (("a", 500.0), ("b", None)):
        assert solve(measured / "fcc.gr", tmp_path / out, time_limit_s=limit, **common)["status"].iloc[0] == "ok"
    one, other = (pd.read_csv(tmp_path / out / "fcc" / "candidates.csv") for out in ("a", "b"))
    pd.testing.assert_frame_equal(one, other)
    stamp = (tmp_path / "a" / "fcc" / "result.json").stat().st_mtime_ns
    solve(measured / "fcc.gr", tmp_path / "a", time_limit_s=400.0, **common)
    assert (tmp_path / "a" / "fcc" / "result.json").stat().st_mtime_ns == stamp


class _Empty:
    name = "nothing"

    def candidates(self, _measurement, _budget):
        return CandidateSet()


def test_a_sample_for_which_no_source_has_a_candidate_is_an_error_that_says_what_to_do(measured):
    with pytest.raises(DeepstrucError, match=r"fcc\.gr: no candidate holds Pt.*--catalog.*--crystals.*--structures.*--composition"):
        solve_curve(read_pdf(measured / "fcc.gr"), SolveSettings(), Sources([_Empty()]))
