"""The tables that people see. (Summaries and pictures have tests of their own.)"""

from __future__ import annotations

from netdsl.report.table import Column, table


def test_a_table_fits() -> None:
    columns = (Column("name"), Column("layer", cut=True), Column("n", right=True))
    lines = table(columns, [("a", "x" * 300, "1"), ("b" * 30, "y", "22")])
    assert {len(lines[1]), max(map(len, lines))} == {100}
    assert "…" in lines[2] and lines[2].endswith(" 1")
    assert "b" * 30 in lines[3]
