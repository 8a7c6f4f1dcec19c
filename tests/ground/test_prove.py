"""`tools/prove` fails when a proof does."""

import argparse
import json
import re
from pathlib import Path

import pytest

from tools.proofs import __main__ as prove
from tools.proofs import fuzz, long, targets, vectors
from tools.proofs.report import Report

ROOT = Path(__file__).resolve().parents[2]


def test_every_vector_comes_out_the_same_when_made_again():
    reports = vectors.prove()
    assert len(reports) >= 3
    for report in reports:
        assert report.ok, report


SAMPLE = {"cases": [{"hex": "00ff", "text": ["abc"]}]}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A tree with one vector file and the tool that makes it."""
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "sample.json").write_text(json.dumps(SAMPLE))
    monkeypatch.setattr(targets, "ROOT", tmp_path)
    monkeypatch.setattr(vectors.maker, "VECTORS", tmp_path / "vectors")
    monkeypatch.setattr(vectors.maker, "names", lambda: ["sample"])
    monkeypatch.setattr(vectors.maker, "made", lambda name: json.dumps(SAMPLE))
    return tmp_path


def test_a_vector_that_comes_out_otherwise_is_found(tree):
    assert [report.ok for report in vectors.prove()] == [True]
    (tree / "vectors" / "sample.json").write_text(json.dumps(SAMPLE).replace("ff", "fe"))
    assert [report.ok for report in vectors.prove()] == [False]


def test_a_vector_without_a_tool_and_a_tool_without_a_vector_are_found(tree):
    (tree / "vectors" / "sample.json").rename(tree / "vectors" / "other.json")
    reports = {report.proof: report.facts["error"] for report in vectors.prove()}
    assert reports == {"vectors other": "no tool makes it", "vectors sample": "no file in vectors/"}


def test_seeds_are_the_bytes_and_texts_of_vectors(tree):
    assert targets.seeds() == [b"", b"\x00\xff", b"abc", b"00ff"]


def test_an_unknown_fuzz_target_fails(monkeypatch):
    monkeypatch.setattr(fuzz, "_atheris", lambda: (None, "not wanted here"))
    (report,) = fuzz.prove(seconds=0.1, seed=1, names=["nothing"])
    assert not report.ok


def test_without_atheris_the_reason_is_printed_and_the_mutation_fuzzer_runs(monkeypatch):
    monkeypatch.setattr(fuzz, "_atheris", lambda: (None, "no release for this platform"))
    (report,) = fuzz.prove(seconds=0.1, seed=1, names=["cbor"])
    assert report.ok
    assert report.facts["fuzzer"] == "mutation (no release for this platform)"
    assert isinstance(report.facts["inputs"], int)
    assert report.facts["inputs"] > 0


def test_an_input_that_breaks_a_target_is_kept(monkeypatch, tmp_path):
    def broken(data: bytes) -> None:
        raise ValueError("planted")

    monkeypatch.setattr(fuzz, "_atheris", lambda: (None, "no release"))
    monkeypatch.setattr(fuzz, "FOUND", tmp_path)
    monkeypatch.setattr(targets, "load", lambda name: broken)
    (report,) = fuzz.prove(seconds=0.1, seed=1, names=["cbor"])
    assert not report.ok
    assert "planted" in str(report.facts["error"])
    assert len(list(tmp_path.iterdir())) == 1


def test_every_long_test_is_run_by_a_proof(monkeypatch):
    named = []
    monkeypatch.setattr(long, "prove", lambda name, *paths: named.extend(paths))
    for name in ("world", "mdns", "first-use"):
        prove.PROOFS[name][1](argparse.Namespace())
    marked = [file for file in (ROOT / "tests").rglob("test_*.py") if re.search(r"\bmark\.long\b", file.read_text())]
    assert len(marked) > len(named) >= 3
    for file in set(marked) - {Path(__file__)}:
        assert any(file.is_relative_to(ROOT / path) for path in named), file


@pytest.mark.parametrize("name", ["crash", "faults", "fabric"])
def test_a_proof_of_whole_nodes_is_the_module_of_its_name(monkeypatch, name):
    asked = argparse.Namespace(count=3, seed=5)
    monkeypatch.setattr(f"tools.proofs.{name}.prove", lambda count, seed: {"count": count, "seed": seed})
    assert prove.PROOFS[name][1](asked) == [Report(name, True, {"count": 3, "seed": 5})]

    def broken(count: int, seed: int) -> dict[str, object]:
        raise AssertionError("planted")

    monkeypatch.setattr(f"tools.proofs.{name}.prove", broken)
    assert prove.PROOFS[name][1](asked) == [Report(name, False, {"error": "planted"})]


@pytest.mark.parametrize(
    ("body", "held", "facts"),
    [
        ("pass", True, {"passed": 1}),
        ("assert False", False, {"failed": 1}),
        ("pytest.skip('needs root')", False, {"skipped": 1}),
    ],
)
def test_long_tests_hold_when_all_of_them_ran_and_passed(tmp_path, body, held, facts):
    test = tmp_path / "test_sample.py"
    test.write_text(f"import pytest\n@pytest.mark.long\ndef test_it():\n    {body}\ndef test_short(): assert False\n")
    (report,) = long.prove("sample", str(test))
    assert report.ok is held
    assert facts.items() <= report.facts.items()
    assert ("error" in report.facts) is not held
    assert "needs root" not in body or "needs root" in str(report.facts["error"])


@pytest.mark.parametrize(("held", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_says_whether_all_held(monkeypatch, capsys, held, status):
    monkeypatch.setattr(prove, "PROOFS", {"sample": ("", lambda options: [Report("sample", held, {"figure": 7})])})
    assert prove.main(["sample", "--json"]) == status
    line = json.loads(capsys.readouterr().out)
    assert (line["proof"], line["ok"], line["figure"]) == ("sample", held, 7)


def test_an_unknown_proof_is_refused_with_the_list(capsys):
    with pytest.raises(SystemExit) as ended:
        prove.main(["nothing"])
    assert ended.value.code == 2
    assert "faults" in capsys.readouterr().err
