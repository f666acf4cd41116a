"""What clients may do and may not: tokens, limits, paths, names, states."""

import asyncio
import io
import itertools
import json
import shutil
import zipfile

import pytest

from deepstruc_hpc.report.page import script_mark, write_report
from deepstruc_hpc.serve import files
from deepstruc_hpc.serve.queue import result_dir
from deepstruc_hpc.serve.security import COOKIE, OWN_HEADER
from deepstruc_hpc.serve.settings import NotAllowedError
from deepstruc_hpc.serve.tasks import PageOutcome, ReadOutcome, SolveOutcome
from tests.report.kinds import write_kinds
from tests.serve.conftest import TOKENS, as_user

ANNA, BERT = as_user("anna"), as_user("bert")
OCTETS = {"Content-Type": "application/octet-stream"}


REPORT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What a job leaves: the kinds of answers of the report's own tests, under a title that tries something."""
    out = write_kinds(tmp_path_factory.mktemp("kinds"))
    write_report(out, figures=False, chemiscope=False, title=REPORT)
    return out


@pytest.fixture
def done(client, results):
    """A job of Anna's that is done."""
    return finished_job(client, results)


def new_job(client, user=ANNA, **body):
    answer = client.post("/api/jobs", json=body, headers=user)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def send(client, job, name="a.gr", content=b"0 1\n", user=ANNA):
    return client.post(f"/api/jobs/{job}/files", params={"name": name}, content=content, headers={**user, **OCTETS})


def finished_job(client, results, files=("a.gr",), user=ANNA):
    """A job that went through the queue, with results of the report's own tests in its directory."""
    job = new_job(client, user)
    for name in files:
        assert send(client, job, name, user=user).status_code == 201
    assert client.post(f"/api/jobs/{job}/start", headers=user).status_code == 200
    queue = client.server.queue
    for _ in files:
        queue.was_read(queue.next_read(), ReadOutcome(("",)))
    for _ in files:
        task = queue.next_solve()
        queue.was_solved(task, SolveOutcome("ok", "as told", {"phase": "Pt fcc", "rw": 0.1}, 1.0))
    out = result_dir(client.server.settings.data, job)
    shutil.copytree(results, out)
    (task,) = [queue.page_task(one) for one in queue.unfinished() if one.id == job]
    assert task.last
    queue.page_written(task, PageOutcome(0.1, script_mark()))
    return job


def test_a_job_goes_from_open_to_done(client, results):
    job = finished_job(client, results, ("a.gr", "a.gr", "../b.gr"))
    seen = client.get(f"/api/jobs/{job}", headers=ANNA).json()
    assert (seen["state"], seen["counts"], seen["total"]) == ("done", {"ok": 3}, 3)
    assert [row["name"] for row in seen["curves"]] == ["a.gr", "a.gr (2)", "b.gr"]
    assert client.get(f"/api/jobs/{job}?since={seen['revision']}", headers=ANNA).json()["curves"] == []
    assert [row["id"] for row in client.get("/api/jobs", headers=ANNA).json()] == [job]


def test_without_a_token_nothing_is_told(make_client, results):
    client = make_client(wrong_tokens_per_minute=1000)
    job = finished_job(client, results)
    tried = [{}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic YTpi"}, {"Cookie": f"{COOKIE}=nobody"}]
    paths = ("/api/me", "/api/jobs", f"/api/jobs/{job}", f"/jobs/{job}/page/", f"/jobs/{job}/results.zip")
    for headers, path in itertools.product(tried, paths):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401, path
        assert job not in answer.text


def test_a_job_of_another_user_is_not_there(client, done):
    """Fails when a job is looked up without its owner: each request answers as for a job that never was."""
    job, never = done, "0" * 24
    requests = [
        ("GET", "/api/jobs/{}"), ("POST", "/api/jobs/{}/files?name=a"), ("POST", "/api/jobs/{}/start"), ("POST", "/api/jobs/{}/cancel"),
        ("DELETE", "/api/jobs/{}"), ("POST", "/api/jobs/{}/share"), ("DELETE", "/api/jobs/{}/share"), ("GET", "/jobs/{}/page/"),
        ("GET", "/jobs/{}/page/summary.csv"), ("GET", "/jobs/{}/results.zip"),
    ]  # fmt: skip
    for method, path in requests:
        answers = [client.request(method, path.format(which), headers=BERT) for which in (job, never)]
        assert [answer.status_code for answer in answers] == [404, 404], path
        assert answers[0].text == answers[1].text
    assert client.get("/api/jobs", headers=BERT).json() == []
    assert client.get(f"/api/jobs/{job}", headers=ANNA).json()["state"] == "done"


def test_a_token_that_was_revoked_ends_and_a_new_one_gives_the_jobs_back(client):
    job = new_job(client)
    client.server.database.revoke("anna")
    assert client.get("/api/me", headers=ANNA).status_code == 401
    client.server.database.set_token("anna", "another-token-of-anna")
    assert client.get(f"/api/jobs/{job}", headers={"Authorization": "Bearer another-token-of-anna"}).status_code == 200


def test_the_cookie_is_for_pages_and_cannot_be_used_by_other_sites(client):
    """Fails when a form of another site could start something with the cookie of the page."""
    answer = client.post("/api/session", json={"token": TOKENS["anna"]})
    assert answer.status_code == 204
    set_cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in set_cookie
    assert "samesite=strict" in set_cookie
    assert client.get("/api/me").json()["name"] == "anna"
    assert client.post("/api/jobs", json={}).status_code == 403
    assert client.post("/api/jobs", json={}, headers={OWN_HEADER: "1"}).status_code == 201
    client.delete("/api/session")
    assert client.get("/api/me").status_code == 401
    assert client.post("/api/session", json={"token": "nobody"}).status_code == 401


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(make_client):
    client = make_client(wrong_tokens_per_minute=3)
    codes = [client.get("/api/me", headers={"Authorization": f"Bearer wrong-{i}"}).status_code for i in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    assert client.get("/api/me", headers=ANNA).status_code == 200


def test_requests_of_a_user_are_limited(make_client):
    client = make_client(requests_at_once=5, requests_per_second=0.01)
    answers = [client.get("/api/me", headers=ANNA) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert client.get("/api/me", headers=BERT).status_code == 200
    assert [client.get("/assets/icon.svg").status_code for _ in range(20)][-1] == 429, "an address without a token is limited, too"


def test_a_file_may_have_its_limit_and_no_byte_more(make_client):
    client = make_client(file_bytes=1000)
    job = new_job(client)
    assert send(client, job, content=b"x" * 1000).status_code == 201
    assert send(client, job, content=b"x" * 1001).status_code == 413
    pieces = (b"x" * 400 for _ in range(3))  # sent in pieces: nobody says before how many bytes there will be
    assert send(client, job, content=pieces).status_code == 413
    assert client.get(f"/api/jobs/{job}", headers=ANNA).json()["total"] == 1
    assert [path.name for path in client.server.settings.data.glob("jobs/*/uploads/*")] == ["f00001.gr"]


def test_files_jobs_and_bytes_of_a_user_are_limited(make_client):
    client = make_client(files_per_job=2, jobs_per_user=2, bytes_per_user=1000)
    job = new_job(client)
    assert [send(client, job).status_code for _ in range(3)] == [201, 201, 409]
    second = new_job(client)
    assert client.post("/api/jobs", json={}, headers=ANNA).status_code == 409
    assert send(client, second, content=b"x" * 990).status_code == 201
    assert send(client, second, content=b"x" * 11).status_code == 413
    assert client.delete(f"/api/jobs/{second}", headers=ANNA).status_code == 204
    assert client.post("/api/jobs", json={}, headers=BERT).status_code == 201


def test_a_request_that_is_no_upload_is_small(client):
    assert (
        client.post("/api/jobs", content=b'{"title": "' + b"x" * 70_000 + b'"}', headers={**ANNA, "Content-Type": "application/json"}).status_code
        == 413
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"composition": "CeO2 wt%"}, "weight"), ({"composition": "Xx2"}, "Xx"), ({"elements": ["Zz"]}, "Zz"), ({"elements": ["../etc"]}, "elements"),

        ({"qmax": 1e9}, "qmax"), ({"qmin": 5, "qmax": 3}, "qmax"), ({"rmin": 9, "rmax": 3}, "rmax"), ({"samples": 10**9}, "samples"),

        ({"instrument": "/etc/passwd"}, "instrument"), ({"sources": ["structures"]}, "sources"), ({"sample": "soup"}, "sample"),
        ({"radiation": "radar"}, "radiation"),
    ],
)  # fmt: skip
def test_settings_are_checked_and_none_names_a_file(client, settings, words):
    answer = client.post("/api/jobs", json={"settings": settings}, headers=ANNA)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert "--" not in answer.json()["detail"]


def test_settings_reach_solve(client):
    job = new_job(client, settings={"composition": "CeO2", "radiation": "neutron", "qmin": 0.5, "qmax": 20, "qdamp": 0.02})
    send(client, job)
    client.post(f"/api/jobs/{job}/start", headers=ANNA)
    queue = client.server.queue
    queue.was_read(queue.next_read(), ReadOutcome(("",)))
    assert queue.next_solve().settings == {"composition": "CeO2", "radiation": "neutron", "qmin": 0.5, "qmax": 20.0, "qdamp": 0.02}


def test_states_allow_only_what_makes_sense(client):
    job = new_job(client)
    assert client.post(f"/api/jobs/{job}/start", headers=ANNA).status_code == 409
    send(client, job)
    assert client.post(f"/api/jobs/{job}/start", headers=ANNA).status_code == 200
    assert client.post(f"/api/jobs/{job}/start", headers=ANNA).status_code == 409
    assert send(client, job).status_code == 409
    seen = client.post(f"/api/jobs/{job}/cancel", headers=ANNA).json()
    assert (seen["state"], seen["counts"]) == ("cancelled", {"cancelled": 1})
    assert client.post(f"/api/jobs/{job}/cancel", headers=ANNA).json()["state"] == "cancelled"
    assert client.server.queue.next_read() is None


def test_a_deleted_job_leaves_nothing(client, done):
    job = done
    shared = client.post(f"/api/jobs/{job}/share", headers=ANNA).json()["shared"]
    assert client.delete(f"/api/jobs/{job}", headers=ANNA).status_code == 204
    assert client.get(f"/{shared}").status_code == 404
    client.server.queue.clear()
    assert list((client.server.settings.data / "jobs").iterdir()) == []


TRICKS = ["../../../../history.sqlite", "..%2f..%2f..%2fhistory.sqlite", "%2e%2e/%2e%2e/uploads/f00001.gr", "/etc/passwd", "//etc/passwd",
          "ceria/../../uploads/f00001.gr",
          "ceria\\..\\..\\history.sqlite", "ceria/%00", "summary.csv/", "ceria", ".hidden", "link", "file:///etc/passwd"]  # fmt: skip


def test_no_path_leads_out_of_the_results(client, done):
    job = done
    out = result_dir(client.server.settings.data, job)
    (out / ".hidden").write_text("hidden")
    (out / "link").symlink_to("/etc/passwd")
    shared = client.post(f"/api/jobs/{job}/share", headers=ANNA).json()["shared"]
    for start, path in itertools.product((f"/jobs/{job}/page/", f"/{shared}"), TRICKS):
        answer = client.get(start + path, headers=ANNA)
        assert answer.status_code in (404, 422), path
        assert "root:" not in answer.text
        assert "SQLite" not in answer.text


def test_results_are_sent_as_downloads_with_fixed_types(client, done):
    job = done
    answer = client.get(f"/jobs/{job}/page/ceria/fit.csv", headers=ANNA)
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_archive_holds_every_file_and_nothing_above_its_folder(client, done):
    job = done
    out = result_dir(client.server.settings.data, job)
    answer = client.get(f"/jobs/{job}/results.zip", headers=ANNA)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    names = {name.split("/", 1)[1] for name in archive.namelist()}
    assert {name.split("/", 1)[0] for name in archive.namelist()} == {f"deepstruc-{job[:8]}"}
    assert names == {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert archive.read(f"deepstruc-{job[:8]}/summary.csv") == (out / "summary.csv").read_bytes()


def test_a_shared_link_shows_the_results_until_it_is_withdrawn(client, done):
    job = done
    shared = client.post(f"/api/jobs/{job}/share", headers=ANNA).json()["shared"]
    assert client.post(f"/api/jobs/{job}/share", headers=ANNA).json()["shared"] == shared
    assert "ceria.gr" in client.get(f"/{shared}").text
    assert client.get(f"/{shared}ceria/fit.csv").status_code == 200
    assert client.get(f"/{shared}results.zip").status_code == 200
    assert client.get(f"/api/jobs/{job}").status_code == 401, "the link shows results and gives no access to the job"
    assert client.delete(f"/api/jobs/{job}/share", headers=ANNA).json()["shared"] is None
    for path in ("", "ceria/fit.csv", "results.zip"):
        assert client.get(f"/{shared}{path}").status_code == 404


def test_every_answer_has_a_strict_policy(client, done):
    job = done
    for path in ("/", "/api", "/assets/app.js", "/assets/none.js", "/api/me", f"/jobs/{job}/page/summary.csv", "/api/openapi.json", "/nowhere"):
        headers = client.get(path, headers=ANNA).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy, path
        assert (headers["x-content-type-options"], headers["referrer-policy"], headers["x-frame-options"]) == ("nosniff", "no-referrer", "DENY")


def test_the_report_runs_its_own_two_scripts_and_no_other(client, done):
    """Fails when hashes are taken from a page: a script that data had put there would have one, too."""
    job = done
    policy = client.get(f"/jobs/{job}/page/", headers=ANNA).headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
    assert len(rules["script-src"].split()) == 2
    assert "unsafe" not in rules["script-src"]
    assert "connect-src" not in rules
    text = client.get(f"/jobs/{job}/page/", headers=ANNA).text
    assert "<title>deepstruc-hpc: &lt;script&gt;alert(1)" in text
    from deepstruc_hpc.serve.files import PAGE

    page = result_dir(client.server.settings.data, job) / PAGE
    page.write_text(text.replace("</main>", "<script>alert(2)</script></main>"))
    assert client.get(f"/jobs/{job}/page/", headers=ANNA).headers["content-security-policy"] == policy


def test_a_page_of_an_older_version_is_written_anew_before_it_is_shown(client, done):
    job = done
    with client.server.database.write() as connection:
        connection.execute("UPDATE jobs SET page_mark = 'older'")
    answer = client.get(f"/jobs/{job}/page/", headers=ANNA)
    assert (answer.status_code, answer.headers["refresh"]) == (503, "2")
    assert [one.id for one in client.server.queue.unfinished()] == [job]


def test_the_pages_take_nothing_from_elsewhere(client):
    for path in ("/", "/api", "/assets/app.js", "/assets/dom.js", "/assets/app.css", "/assets/api.js"):
        text = client.get(path).text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
        assert " style=" not in text
    assert "<script>" not in client.get("/").text


def test_the_api_page_names_every_request(client):
    paths = client.get("/api/openapi.json").json()["paths"]
    assert len(paths) == 8
    assert {"401", "404", "409", "413", "422", "429"} <= set(paths["/api/jobs/{job_id}/files"]["post"]["responses"])


def test_behind_a_proxy_the_cookie_belongs_to_its_path(make_client):
    client = make_client(root_path="/pdf")
    answer = client.post("/api/session", json={"token": TOKENS["anna"]})
    assert "path=/pdf/" in answer.headers["set-cookie"].lower()
    assert client.get("/api/openapi.json").json()["servers"] == [{"url": "/pdf"}]


def test_health_tells_a_watcher_what_is_wrong(client):
    assert (client.get("/healthz").status_code, client.get("/healthz").text) == (200, "ok")
    client.server.dispatcher.problem = "no model"
    assert (client.get("/healthz").status_code, client.get("/healthz").text) == (503, "no model")


def test_numbers_that_json_does_not_know_are_refused(client):
    answer = client.post("/api/jobs", content=json.dumps({"settings": {"qmax": float("nan")}}), headers={**ANNA, "Content-Type": "application/json"})
    assert answer.status_code == 422


def test_an_upload_that_stops_coming_is_given_up(monkeypatch, tmp_path):
    async def stalled():
        yield b"half"
        await asyncio.sleep(3600)

    monkeypatch.setattr(files, "LONGEST_PAUSE_S", 0.05)
    with pytest.raises(NotAllowedError, match="nothing came"):
        asyncio.run(files.keep_upload(stalled(), tmp_path / "f00001.gr", 1000))
    assert list(tmp_path.glob("f*")) == list(tmp_path.glob(".f*")) == []
