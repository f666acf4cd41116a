"""G(r) of a gold cluster in HDF5 files as programs and people lay them out."""

import json

import h5py
import numpy as np

from tests.data import gr_dialects as dialects

R, G, DG = dialects.gold(0.02)
STACK = np.outer([1.0, 2.0, 3.0], G)


def group(parent, path, kind="", **attributes):
    made = parent.require_group(path)
    made.attrs.update({"NX_class": kind, **attributes} if kind else attributes)
    return made


def put(parent, path, values, **attributes):
    parent[path] = values
    parent[path].attrs.update(attributes)


# --- the layouts ---------------------------------------------------------------------------------------------------------------------------------


def nexus(file):
    """Default attributes from the root; units; a sample, a source, a process; the raw images and the pattern beside it."""
    group(file, "/", "NXroot", default="entry")
    group(file, "entry", "NXentry", default="pdf")
    data = group(file, "entry/pdf", "NXdata", signal="gr", axes="r")
    put(data, "r", R, units="angstrom", long_name="r (Å)")
    put(data, "gr", G, units="1/angstrom^2", long_name="G(r) (1/Å^2)", interpretation="spectrum")
    put(data, "gr_errors", DG)
    group(file, "entry/sample", "NXsample")
    put(file, "entry/sample/chemical_formula", "Ce O2")
    group(file, "entry/instrument/source", "NXsource")
    put(file, "entry/instrument/source/probe", "x-ray")
    put(file, "entry/instrument/detector/data", np.zeros((2, 80, 90), dtype="u2"))
    group(file, "entry/process", "NXprocess", program="pdf")
    put(file, "entry/process/parameters/qmin", 8.0, units="1/nm")
    put(file, "entry/process/parameters/qmax", 24.0)
    put(file, "entry/process/parameters/qdamp", 0.03)
    iq = group(file, "entry/integrated", "NXdata", signal="intensity", axes="q")
    put(iq, "q", np.linspace(0.1, 24, 500), units="1/angstrom")
    put(iq, "intensity", np.linspace(5, 1, 500))


def old_nexus(file):
    """Signal and axes marked on the datasets, as before 2014; nm."""
    data = group(file, "entry1/data", "NXdata")
    put(data, "distance", R / 10, units="nm", axis=1)
    put(data, "data", G * 100, units="nm^-2", signal=1, long_name="G(r)")


def processed_like_pyfai(file):
    """An ewoks-like tree: a process with its settings as JSON, its results, and the raw frames by a link."""
    group(file, "entry_0000", "NXentry", default="pdf/results")
    group(file, "entry_0000/pdf", "NXprocess")
    put(file, "entry_0000/pdf/configuration/data", json.dumps({"qmin": 0.8, "qmax": 24.0, "composition": "Au", "mode": "xray"}))
    data = group(file, "entry_0000/pdf/results", "NXdata", signal="G", axes=[".", "r"])
    put(data, "r", R, units="Å")
    put(data, "G", G[None, :])
    file["entry_0000/raw"] = h5py.ExternalLink("gone.h5", "/entry/data")
    file["entry_0000/plotselect"] = h5py.SoftLink("/entry_0000/pdf/results")


def plain(file):
    file["r"], file["gr"], file["dgr"] = R, G, DG
    file.attrs["composition"] = "Au"
    file.attrs["qmax"] = 24.0


def plain_in_groups(file):
    file["results/R"], file["results/G(r)"] = R, G
    file["results/F(Q)"], file["results/Q"] = np.sin(np.arange(1, 25, 0.01)), np.arange(1, 25, 0.01)
    file["settings"] = "[DEFAULT]\nmode = neutron\ncomposition = Au\nqmax = 24\n"


def grid_in_attributes(file):
    put(file, "pdf", G, rmin=0.0, rstep=0.02)


def columns(file):
    file["gr"] = np.column_stack([R, G, DG])


def rows_of_two(file):
    file["sample/pdf"] = np.stack([R, G])


def table(file):
    made = np.zeros(len(R), dtype=[("r", "f8"), ("G", "f4"), ("sigma", "f8")])
    made["r"], made["G"], made["sigma"] = R, G, DG
    file["measurement/table"] = made


def no_names(file):
    file["a"], file["b"] = R, G


def big_endian_and_edges(file):
    file["r"], file["gofr"] = np.append(R, R[-1] + 0.02).astype(">f8") - 0.01, G.astype(">f4")


def metres(file):
    put(file, "r", R * 1e-10, units="m")
    file["pdf"] = G


WHOLE = (nexus, old_nexus, processed_like_pyfai, plain, plain_in_groups, grid_in_attributes, columns, rows_of_two, table, no_names)
WHOLE += (big_endian_and_edges, metres)


def stack(file):
    data = group(file, "entry/pdf", "NXdata", signal="gr", axes=["frame", "r"], r_indices=1)
    put(data, "r", R, units="angstrom")
    put(data, "frame", np.arange(3))
    put(data, "gr", STACK)
    put(data, "gr_errors", DG)
