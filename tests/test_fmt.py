"""``netdsl fmt``: what it writes, what it leaves alone, and what it says."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from shell import Capture, run

from netdsl.files import replace
from netdsl.starter import starters

UGLY = "net A{input x(4) # four\ndense( 2 )\n}\n"
TIDY = "net A {\n  input x(4)  # four\n  dense(2)\n}\n"
BROKEN = "net A {\n  input x(4\n}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a file of each kind, and the process in it."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("broken", BROKEN), ("tidy", TIDY), ("ugly", UGLY)):
        (tmp_path / f"{name}.net").write_text(text)
    return tmp_path


def test_files_are_formatted(folder: Path, capsys: Capture) -> None:
    assert run("fmt", ".") == 2, "one of them has a mistake"
    told = capsys.readouterr()
    assert told.out == "formatted ugly.net\n1 file left unchanged\n"
    assert told.err.count("error[") == 1 and "broken.net:2" in told.err
    texts = [file.read_text() for file in sorted(folder.iterdir())]
    assert texts == [BROKEN, TIDY, TIDY]
    assert run("fmt", "ugly.net", "tidy.net") == 0
    assert capsys.readouterr().out == "2 files left unchanged\n"


def test_nothing_is_written_where_one_only_asks(folder: Path, capsys: Capture) -> None:
    assert run("fmt", "--check", "ugly.net", "tidy.net") == 1
    told = capsys.readouterr().out
    assert told == "would format ugly.net\n1 file would be left unchanged\n"
    assert run("fmt", "--diff", "ugly.net", "tidy.net") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["--- ugly.net", "+++ ugly.net, formatted", "@@ -1,3 +1,4 @@"]
    assert "-dense( 2 )" in lines and "+  dense(2)" in lines
    assert run("fmt", "--diff", "--check", "ugly.net") == 1
    assert run("fmt", "--check", "tidy.net") == 0
    assert run("fmt", "--check", "ugly.net", "broken.net") == 2
    assert (folder / "ugly.net").read_text() == UGLY


UNSEEN = {
    "windows": (TIDY.replace("\n", "\r\n").encode(), "line ends"),
    "mixed": (TIDY.replace("\n", "\r\n", 1).encode(), "line ends"),
    "open": (TIDY.removesuffix("\n").encode(), "line ends"),
    "marked": (TIDY.encode("utf-8-sig"), "byte order mark"),
    "both": (TIDY.replace("\n", "\r\n").encode("utf-8-sig"), "byte order mark, line ends"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_no_line_shows_is_said(name: str, folder: Path, capsys: Capture) -> None:
    file, (data, what) = folder / f"{name}.net", UNSEEN[name]
    file.write_bytes(data)
    for given, status in ((["--diff"], 0), (["--check", "--diff"], 1)):
        assert run("fmt", *given, file.name) == status
        assert capsys.readouterr().out == f"{name}.net: {what}\n"
    assert file.read_bytes() == data
    assert run("fmt", file.name) == 0
    assert file.read_bytes() == TIDY.encode()
    file.write_bytes(data.replace(b"dense(2)", b"dense( 2)"))
    run("fmt", "--diff", file.name)
    lines = capsys.readouterr().out.splitlines()
    assert "-  dense( 2)" in lines and lines[-1] == f"{name}.net: {what}"
    assert sum(line.startswith("-") for line in lines) == 2, "the head and one line"


def test_the_pipe(folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def piped(*args: str, text: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return run("fmt", *args, "-"), *capsys.readouterr()

    assert piped(text=UGLY) == (0, TIDY, "")
    assert piped(text=TIDY) == (0, TIDY, "")
    status, out, err = piped(text=BROKEN)
    assert (status, out) == (2, "")
    assert err.startswith("standard input:2")
    assert piped("--check", text=UGLY)[0] == 1


def test_links_and_permissions_stay(folder: Path) -> None:
    ugly = folder / "ugly.net"
    ugly.chmod(0o600)
    (folder / "link.net").symlink_to("ugly.net")
    assert run("fmt", "link.net") == 0
    assert (folder / "link.net").is_symlink()
    assert ugly.read_text() == TIDY
    assert ugly.stat().st_mode & 0o777 == 0o600


def test_a_file_is_formatted_whole_or_not_at_all(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert run("fmt", "ugly.net", "tidy.net") == 1
    told = capsys.readouterr()
    assert told.err.startswith("error[E501]")
    assert told.out == "1 file left unchanged\n", "the others are looked at"
    assert sorted(file.name for file in folder.iterdir()) == ["broken.net", "tidy.net", "ugly.net"]
    monkeypatch.undo()
    replace(folder / "new.net", b"x")
    assert (folder / "new.net").stat().st_mode & 0o777 == (
        folder / "tidy.net"
    ).stat().st_mode & 0o777


def test_what_new_writes_is_in_the_canonical_form() -> None:
    assert run("fmt", "--check", *starters().values()) == 0
