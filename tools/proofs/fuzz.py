"""`tools/prove fuzz`: every target of tools/fuzz under atheris; without it, under the mutation fuzzer."""

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

from tools.proofs import mutation, targets
from tools.proofs.report import Report

ROOT = targets.ROOT
FOUND = ROOT / "build" / "fuzz"
"""Where an input that broke a target is kept."""


def prove(*, seconds: float, seed: int, names: list[str]) -> list[Report]:
    """One report a target; `names` narrows them down, none means all."""
    python, reason = _atheris()
    wanted = names or targets.names()
    unknown = sorted(set(wanted) - set(targets.names()))
    if unknown:
        return [Report(f"fuzz {name}", False, {"error": "there is no such target"}) for name in unknown]
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "seeds"
        corpus.mkdir()
        seeds = targets.seeds()
        for data in seeds:
            (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        if python is not None:
            return [_guided(python, name, corpus, seconds, seed) for name in wanted]
    return [_blind(name, seeds, seconds, seed, reason) for name in wanted]


def _atheris() -> tuple[Path | None, str]:
    """The interpreter that has atheris, or why there is none."""
    done = subprocess.run([ROOT / "tools" / "ensure-venv", "prove"], stderr=subprocess.PIPE, text=True)
    python = ROOT / ".venv-prove" / "bin" / "python"
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or ["the environment could not be made"])[-1].strip()
    if subprocess.run([python, "-c", "import atheris"], capture_output=True).returncode != 0:
        return None, "atheris has no release for this platform and Python"
    return python, ""


def _guided(python: Path, name: str, corpus: Path, seconds: float, seed: int) -> Report:
    """atheris keeps what it learns in a folder of its own beside the seeds."""
    FOUND.mkdir(parents=True, exist_ok=True)
    learnt = corpus.with_name(f"learnt-{name}")
    learnt.mkdir()
    options = [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", "-max_len=65536", "-rss_limit_mb=1024"]
    options += [f"-timeout={round(mutation.SLOWEST_S * 5)}", f"-artifact_prefix={FOUND}/{name}-"]
    command = [str(python), "-m", "tools.proofs.atheris_target", name, *options, str(learnt), str(corpus)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    runs = re.findall(r"^#(\d+)\s", done.stdout, re.MULTILINE)
    coverage = re.findall(r"cov: (\d+)", done.stdout)
    facts: dict[str, object] = {
        "fuzzer": "atheris",
        "inputs": max(map(int, runs), default=0),
        "coverage": max(map(int, coverage), default=0),
    }
    if done.returncode != 0:
        facts["error"] = _why(done.stdout)
    return Report(f"fuzz {name}", done.returncode == 0 and bool(runs), facts)


def _why(output: str) -> str:
    """What Python or libFuzzer said, and which file holds the input."""
    said = [
        line.strip()
        for line in output.splitlines()
        if re.match(r"\s*(\w+\.)*\w*(Error|Exception)\b|ERROR|==\d+== ERROR", line)
    ]
    kept = re.findall(r"Test unit written to (\S+)", output)
    return "; ".join(dict.fromkeys([*said[:2], *kept])) or "\n".join(output.splitlines()[-5:])


def _blind(name: str, seeds: list[bytes], seconds: float, seed: int, reason: str) -> Report:
    fed, finding = mutation.fuzz(targets.load(name), seeds, seed=seed, seconds=seconds)
    facts: dict[str, object] = {"fuzzer": f"mutation ({reason})", "inputs": fed}
    if finding:
        FOUND.mkdir(parents=True, exist_ok=True)
        kept = FOUND / f"{name}-{hashlib.sha256(finding.data).hexdigest()[:16]}"
        kept.write_bytes(finding.data)
        facts["error"] = f"{finding.error}; {kept}"
    return Report(f"fuzz {name}", finding is None, facts)
