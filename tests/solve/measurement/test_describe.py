"""Options before header values before defaults, and random numbers that belong to the data."""

from dataclasses import replace

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError, PdfFileError
from deepstruc_hpc.core.peaks import first_peak
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import check_sample_options, describe


def _curve(header=None, stop=30.0):
    r = np.arange(0.0, stop + 1e-9, 0.01)
    g = np.exp(-0.5 * ((r - 2.88) / 0.1) ** 2) - 0.2 * np.sin(r)
    return PdfCurve(r, g, header=header or {}, source="x.gr")


def test_an_option_wins_over_the_header_and_the_header_over_the_default():
    found = describe(_curve({"qmin": 1.3, "qmax": 28.0, "composition": "Au"}), SolveSettings(qmax=20))
    assert (found.instrument.qmin, found.instrument.qmax, found.instrument.qdamp) == (1.3, 20.0, 0.03)
    assert [found.origin[name] for name in ("qmin", "qmax", "qdamp", "elements")] == ["header", "option", "default", "header"]
    record = found.record()
    assert (record["qmax"], record["elements"], record["origin"]["qmax"]) == (20.0, ["Au"], "option")


def test_the_range_ends_where_the_data_end():
    assert describe(_curve(stop=18.0), SolveSettings(rmax=25, elements="Au")).rmax == pytest.approx(18.0)


def test_only_the_points_of_the_range_are_fitted():
    data = describe(_curve(), SolveSettings(rmin=3, rmax=10, elements="Au")).data
    assert (data.r[0], data.r[-1]) == (pytest.approx(3.0), pytest.approx(10.0))


def test_too_short_a_range_is_refused_with_the_numbers():
    with pytest.raises(PdfFileError, match=r"0 to 3 Å.*independent points"):
        describe(_curve(stop=3.0), SolveSettings(elements="Au"))


def test_qmin_above_qmax_is_refused():
    with pytest.raises(PdfFileError, match="Qmin 30"):
        describe(_curve({"qmin": 30.0}), SolveSettings(elements="Au"))


def test_ligands_do_not_decide_the_element():
    found = describe(_curve({"composition": "Au144 S60 C180"}), SolveSettings())
    assert found.sample.elements == ("Au",)
    assert "S, C left out" in " ".join(found.notes)


def test_metals_come_strongest_scatterer_first_by_amount_and_amplitude():
    assert describe(_curve({"composition": "Cu3 Au"}), SolveSettings()).sample.elements == ("Au", "Cu")
    assert describe(_curve({"composition": "Cu20 Au"}), SolveSettings()).sample.elements == ("Cu", "Au")


def test_a_curve_that_nobody_names_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr("deepstruc_hpc.solve.measurement.describe.suggest_elements", lambda _: "perhaps of gold")
    with pytest.raises(PdfFileError, match=r"x\.gr: neither the header nor an option.*--composition.*--elements.*perhaps of gold"):
        describe(_curve(), SolveSettings())


def test_of_a_catalogs_metals_the_one_that_the_first_peak_says_is_taken_and_said():
    """Fails when a catalog of many metals is taken for an alloy of all of them, or when the guess is called an option."""
    found = describe(_curve(), SolveSettings(), fallback_elements=("Ni", "Au", "Pb"))
    assert (found.sample.elements, found.sample.kind, found.origin["elements"]) == (("Au",), "metal", "default")
    assert "no element is named: Au of the catalog" in found.sample.sentence
    assert "no element is named" not in describe(_curve({"composition": "Ni"}), SolveSettings(), fallback_elements=("Au",)).sample.sentence


def test_an_unknown_element_is_refused_by_name_before_any_file_is_read():
    with pytest.raises(ConfigError, match="--elements Xx"):
        check_sample_options(SolveSettings(elements="Xx"))


def test_the_first_peak_is_found_and_noise_below_half_is_not():
    assert describe(_curve(), SolveSettings(elements="Au")).first_peak == pytest.approx(2.88, abs=0.02)
    assert first_peak(PdfCurve(np.linspace(5, 9, 50), np.ones(50))) is None


def _draw(measurement, purpose="samples"):
    return measurement.rng(purpose).normal(size=4).tolist()


def test_random_numbers_belong_to_the_data_the_seed_and_the_purpose_and_not_to_the_name():
    settings = SolveSettings(elements="Au")
    one = describe(_curve(), settings)
    assert _draw(one) == _draw(describe(replace(_curve(), source="another/name.gr"), settings))
    assert _draw(one) == _draw(describe(_curve({"qmax": 20.0}), settings))  # the same numbers, said to be of another transform
    other = _curve()
    other = PdfCurve(other.r, np.where(np.arange(len(other.r)) == 700, other.g + 1e-6, other.g), source="x.gr")
    different = [
        _draw(one),
        _draw(one, "neighbours"),
        _draw(describe(_curve(), SolveSettings(elements="Au", seed=1))),
        _draw(describe(other, settings)),
    ]
    assert len({tuple(numbers) for numbers in different}) == 4


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"sigma": "3,-1"}, "sigma"), ({"sources": ""}, "source"), ({"rmin": 5, "rmax": 4}, "rmax"), ({"qmin": 9, "qmax": 4}, "qmax")],
)
def test_contradictory_settings_are_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        SolveSettings(**changes)


@pytest.mark.parametrize("removed", [{"neighbours_seconds": 5}, {"latent_seconds": 5}, {"rank": {"misfit_floor": 0.02}}])
def test_no_setting_counts_seconds_and_old_names_are_refused(removed):
    with pytest.raises(ValueError, match="Extra inputs"):
        SolveSettings(**removed)
    assert not [name for name in SolveSettings.model_fields if "second" in name]


def test_settings_read_commas_and_their_hash_changes_with_each_value():
    assert SolveSettings(sigma="3,5", elements="Au, Pd").sigma == (3.0, 5.0)
    assert SolveSettings(elements="Au, Pd").elements == ("Au", "Pd")
    marks = {SolveSettings(**change).fingerprint("m") for change in ({}, {"qmax": 20}, {"seed": 1}, {"rank": {"model_error": 0.03}})}
    assert len(marks) == 4
    assert SolveSettings().fingerprint("other model") not in marks


@pytest.mark.parametrize("end", [9.0, 14.0, 28.0])
def test_a_crystal_has_order_to_the_end_of_a_range_of_any_length_and_a_cluster_has_none(end):
    """A bulk metal measured to 10 Å was once never compared with a crystal."""
    r = np.arange(0.0, end, 0.01)
    endless = describe(PdfCurve(r, np.sin(8.0 * r)), SolveSettings(elements="Au"))
    cluster = describe(PdfCurve(r, np.sin(8.0 * r) * np.maximum(1.0 - r / 7.0, 0.0)), SolveSettings(elements="Au"))
    assert endless.order_at_end == pytest.approx(1.0, abs=0.1)
    assert cluster.order_at_end < 0.1


def test_what_low_q_takes_out_is_counted():
    r = np.arange(0.0, 30.0, 0.01)
    sharp, broad = np.sin(8.0 * r), np.sin(0.6 * r)
    settings = SolveSettings(elements="Au", low_q=1.2)
    assert describe(PdfCurve(r, sharp), settings).broad_part < 0.15  # the ends of the range
    assert describe(PdfCurve(r, sharp + broad), settings).broad_part == pytest.approx(np.sqrt(0.5), abs=0.08)
    assert describe(PdfCurve(r, sharp + broad, header={"qmin": 0.8}), SolveSettings(elements="Au", low_q=0.0)).broad_part == 0.0
