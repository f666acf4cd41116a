"""The API against its own OpenAPI document: requests that schemathesis makes up, right ones and wrong ones.

Its pytest plugin is not used (``-p no:schemathesis``): it is loaded for every test of the project and knows no pytest 9.
"""

import pytest
import schemathesis
from hypothesis import Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.serve.conftest import TOKENS, as_user

EXAMPLES = 5
"""For each request and mode: enough for wrong types, limits and odd texts; more belong to a run by hand."""
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def document(make_app):
    app = make_app(requests_at_once=10**6, wrong_tokens_per_minute=10**6)
    server = app.state.server
    job = server.jobs.create(server.database.user_of(TOKENS["anna"]).id, "", {})
    return schemathesis.openapi.from_asgi("/api/openapi.json", app), job.id


def test_every_answer_is_one_that_the_document_tells(document):
    """Fails on a fault of the server (500), a status or a content type that is not told, and values of another shape."""
    schema, job = document
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            try:
                _ask(operation.as_strategy(generation_mode=mode), job, tried)
            except Unsatisfiable:  # it takes no value, so none can be wrong
                assert mode == schemathesis.GenerationMode.NEGATIVE
    assert len({label for label, _ in tried}) == 12
    assert {200, 201, 204, 422} <= {status for _, status in tried}, "right requests and wrong ones were made"


def _ask(cases, job, tried):
    @given(cases)
    @settings(max_examples=EXAMPLES, phases=[Phase.generate], deadline=None, database=None, derandomize=True)
    def ask(case):
        if case.path_parameters and len(str(case.path_parameters.get("job_id"))) == 24:
            case.path_parameters["job_id"] = job  # one that is there, as nobody guesses it
        answer = case.call(headers=as_user("anna"))
        assert answer.status_code < 500
        case.validate_response(answer, checks=CHECKS)
        tried.add((case.operation.label, answer.status_code))

    ask()
