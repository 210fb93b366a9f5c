import pytest

from tests.crd.cluster import MeshCAs
from tests.crd.specs import ACCEPTED, REFUSED, Accepted, Refused


def contains(whole, part) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return whole == part


@pytest.mark.parametrize("case", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_is_stored(meshcas: MeshCAs, case: Accepted) -> None:
    stored = meshcas.stored(case.spec, case.name)
    assert contains(stored, case.stored), stored


def test_an_empty_spec_gets_these_defaults_and_no_others(meshcas: MeshCAs) -> None:
    assert meshcas.stored({}) == ACCEPTED["an empty spec gets every default"].stored


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_is_refused_with_the_field_and_the_remedy(meshcas: MeshCAs, case: Refused) -> None:
    answer = meshcas.refusal(case.spec, case.name)["message"]
    assert case.field in answer
    assert case.remedy in answer


# All kinds of target but one come later, so two kinds in one target are two mistakes by now.
SINGLE_MISTAKES = {sentence: case for sentence, case in REFUSED.items() if sentence != "a target of two kinds"}


@pytest.mark.parametrize("case", SINGLE_MISTAKES.values(), ids=SINGLE_MISTAKES.keys())
def test_one_mistake_has_one_answer(meshcas: MeshCAs, case: Refused) -> None:
    causes = meshcas.refusal(case.spec, case.name).get("details", {}).get("causes", [])
    judged = [cause for cause in causes if "some validation rules were not checked" not in cause["message"]]
    assert len(judged) <= 1, judged
