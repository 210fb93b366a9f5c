"""The table of mutations is of this core/ and can be read; what tests say of each is for `make mutants` to find out."""

import pytest

from tools.mutants import CORE, ROOT, TABLE, Mutation, faults, read_table

MUTATIONS = list(read_table(TABLE.read_text()))
DATES, HELD = "from datetime import datetime", "a gate is open"


def test_every_mutation_finds_its_text_once() -> None:
    assert list(faults(MUTATIONS)) == []


def test_every_module_that_decides_or_tells_has_some() -> None:
    told = {path.name for path in (ROOT / "operator" / CORE).glob("*.py")} - {each.file for each in MUTATIONS}
    assert told == {"__init__.py", "actions.py", "forecast.py", "model.py", "questions.py", "simulation.py"}
    assert len(MUTATIONS) >= 60


ROTTEN: dict[str, tuple[list[Mutation], str]] = {
    "a text that is gone": ([Mutation(HELD, "gates.py", "no such text", "")], "in core/gates.py 0 times"),
    "a text that is there twice": ([Mutation(HELD, "gates.py", "return", "")], "in core/gates.py "),
    "a file that is gone": ([Mutation(HELD, "gate.py", "return", "")], "in core/gate.py 0 times"),
    "one sentence for two": ([Mutation(HELD, "gates.py", DATES, "")] * 2, "is there twice"),
}


@pytest.mark.parametrize(("table", "words"), ROTTEN.values(), ids=ROTTEN.keys())
def test_a_table_that_is_out_of_date_is_told(table: list[Mutation], words: str) -> None:
    assert any(words in fault for fault in faults(table))


def test_lines_are_kept_as_they_are() -> None:
    a_gate_is_open = "a gate is open\n-     if now:\n-         return\n+     pass"
    assert list(read_table(f"# a remark\n\n== gates.py\n\n{a_gate_is_open}\n\na gate is gone\n- x\n")) == [
        Mutation("a gate is open", "gates.py", "    if now:\n        return", "    pass"),
        Mutation("a gate is gone", "gates.py", "x", ""),
    ]


@pytest.mark.parametrize("block", ["a gate is open", "a gate is open\n+ x", "a gate is open\n- x\n+ y\n- z"])
def test_a_block_that_is_none_is_an_error(block: str) -> None:
    with pytest.raises(ValueError, match="a gate is open"):
        list(read_table(block))
