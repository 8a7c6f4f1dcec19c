"""The bench table says who is faster, and never hides a peer that is absent."""

import json
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from tools.benchmarks import peers
from tools.benchmarks.__main__ import human
from tools.benchmarks.cpu import Stopwatch, seconds_of
from tools.benchmarks.row import Figure, PeerMissing, Work, measure
from tools.benchmarks.works import works

ROOT = Path(__file__).resolve().parents[2]


def work(better: str, goal: float, ours: float, theirs: float) -> Work:
    return Work("sample", "things/s", better, goal, "peer", lambda: ours, lambda: theirs)


@pytest.mark.parametrize(
    ("better", "goal", "ours", "theirs", "met"),
    [
        ("higher", 2, 50, 20, True),
        ("higher", 2, 30, 20, False),
        ("lower", 6, 50, 10, True),
        ("lower", 6, 70, 10, False),
    ],
)
def test_the_ratio_is_held_to_the_goal_on_the_right_side(better, goal, ours, theirs, met):
    row = measure(work(better, goal, ours, theirs), rounds=1)
    assert row.ratio == ours / theirs
    assert row.met is met
    assert ("met" if met else "MISSED") in human(row)


def test_figures_are_medians_of_alternating_rounds():
    order: list[str] = []
    figures = iter([10.0, 1000.0, 12.0])

    def ours() -> float:
        order.append("ours")
        return next(figures)

    def theirs() -> float:
        order.append("theirs")
        return 4.0

    row = measure(Work("sample", "x", "higher", 1, "peer", ours, theirs), rounds=3)
    assert order == ["ours", "theirs"] * 3
    assert (row.ours, row.ratio) == (12.0, 3.0)


def test_cpu_time_stands_beside_the_ratio_and_does_not_change_it():
    figures = iter([Figure(10, 7), Figure(30, 9), Figure(20, 8)])
    row = measure(Work("sample", "x", "higher", 1, "peer", lambda: next(figures), lambda: 10.0, "s/GB"), rounds=3)
    assert (row.ours, row.ratio, row.ours_cpu, row.theirs_cpu) == (20, 2.0, 8, None)
    assert human(row).endswith("cpu 8 s/GB")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the CPU time of another process")
def test_the_cpu_time_of_another_process_is_counted_with_ours():
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as busy:
        try:
            begun = seconds_of(busy.pid)
            watch = Stopwatch(busy.pid)
            while (now := seconds_of(busy.pid)) < begun + 0.05:
                pass
            wall, cpu = watch.read()
        finally:
            busy.kill()
    assert wall > 0
    assert cpu >= now - begun


def test_every_work_has_a_name_of_its_own_and_nothing_runs_before_it_is_asked():
    with works() as known:
        names = [work.name for work in known]
    assert len(set(names)) == len(names)
    assert {"bus", "cli-state", "channel-bulk", "channel-request", "handshake"} <= set(names)


def test_a_missing_peer_is_said_and_asked_only_once():
    asked = count()

    def theirs() -> float:
        next(asked)
        raise PeerMissing("not installed: tools/bench --with-peers")

    row = measure(Work("sample", "x", "higher", 1, "pyzmq", lambda: 7.0, theirs), rounds=3)
    assert (row.ours, row.theirs, row.ratio, row.met) == (7.0, None, None, None)
    assert "pyzmq: not installed: tools/bench --with-peers" in human(row)
    assert next(asked) == 1


def test_a_peer_runs_with_its_own_python_or_says_why_not(tmp_path, monkeypatch):
    script = tmp_path / "peer.py"
    script.write_text("import json, sys; print(json.dumps({'rate': float(sys.argv[1])}))")
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "absent")
    with pytest.raises(PeerMissing, match="--with-peers"):
        peers.run(script, "5")
    monkeypatch.undo()
    monkeypatch.setattr(peers, "PYTHON", Path(__import__("sys").executable))
    assert peers.run(script, "5") == {"rate": 5.0}
    script.write_text("import nothing_of_that_name")
    with pytest.raises(PeerMissing, match="nothing_of_that_name"):
        peers.run(script)


@pytest.mark.real
def test_the_command_gives_rows_with_every_field():
    done = subprocess.run(
        [ROOT / "tools" / "bench", "--only", "ipc", "--rounds", "1", "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert {"work", "ours", "theirs", "unit", "peer", "better", "ratio", "goal", "met"} <= set(row)
    assert row["work"] == "ipc"
    assert row["ours"] > 0


@pytest.mark.real
def test_an_unknown_work_is_refused_with_the_list():
    done = subprocess.run([ROOT / "tools" / "bench", "--only", "nothing"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "cli-state" in done.stderr
