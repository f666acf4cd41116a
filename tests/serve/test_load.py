"""Fifty clients at once with ten files each: most are refused by the reader, a few are solved; nobody waits for ever, nobody sees another's."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deepstruc_hpc.serve.server import open_database
from deepstruc_hpc.serve.settings import ServeSettings
from tests.serve.conftest import PDFS, QUICK, Api

CLIENTS, FILES_EACH, REAL = 50, 10, 4
LONGEST_S = 300.0
"""For all of it, on a machine with others at work; 20 s of CPU."""


@pytest.mark.slow
def test_fifty_clients_with_five_hundred_files(real_server, tmp_path):
    data = next(path for path in (part.split("=", 1)[-1] for part in real_server.process.args) if path.endswith("/data"))
    database = open_database(ServeSettings(data=data))
    for number in range(CLIENTS):
        database.set_token(f"client{number}", f"token-of-client-{number:04d}")
    good = (PDFS / "sample-02-Pt.gr").read_bytes()
    started = time.monotonic()

    def client(number):
        api = Api(real_server.link, f"token-of-client-{number:04d}")
        files = [(f"c{number}-{i}.gr", b"r G\n%d\n" % i) for i in range(FILES_EACH)]
        if number < REAL:
            files[5] = (f"c{number}-5.gr", good)
        job = api.solve(files, QUICK, title=f"job of {number}")
        waited, slowest = time.monotonic(), 0.0
        while True:
            begun = time.monotonic()
            seen = api.job(job)
            slowest = max(slowest, time.monotonic() - begun)
            if seen["state"] == "done":
                break
            assert time.monotonic() - waited < LONGEST_S
            time.sleep(0.5)
        listed = api("GET", "/api/jobs")[1]
        assert [each["id"] for each in listed] == [job]
        assert all(row["name"].startswith(f"c{number}-") for row in seen["curves"])
        return seen["counts"], slowest

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(client, range(CLIENTS)))
    counts = [count for count, _ in found]
    assert counts[:REAL] == [{"ok": 1, "failed": 9}] * REAL
    assert counts[REAL:] == [{"failed": 10}] * (CLIENTS - REAL)
    assert time.monotonic() - started < LONGEST_S
    print(f"{CLIENTS * FILES_EACH} files in {time.monotonic() - started:.1f} s, slowest answer {max(slow for _, slow in found):.2f} s")
