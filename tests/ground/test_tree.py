"""Nothing in the tree ties it to one machine, and its documents lead somewhere."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPPED_FOLDERS = {"__pycache__", "build", "dist"}
MAX_TEXT_BYTES = 4 << 20
# Written in pieces, so that this file does not find itself.
OF_ONE_MACHINE = re.compile(
    "|".join(
        (
            r"https?://\S+/simp" + r"le\b",
            r"--(?:extra-)?index-" + r"url(?!\b.*no-emit)",
            r"--find-" + r"links",
            r"pythonhosted\." + r"org",
            r"(?<![\w.~-])/(?:ro" + r"ot|wo" + r"rk|op" + r"t)/\w",
            r"(?<![\w.~-])/ho" + r"me/(?!user\b|you\b|alice\b|bob\b)\w",
        )
    )
)


def files(*suffixes: str) -> list[Path]:
    """Files of the tree as a checkout holds it, hidden folders of tools left out."""
    found: list[Path] = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in SKIPPED_FOLDERS and (name[0] != "." or name == ".ci")]
        found += [Path(folder, name) for name in names if not suffixes or name.endswith(suffixes)]
    return sorted(path for path in found if not path.name.endswith((".pyc", ".lock")) and not _is_coverage(path))


def _is_coverage(path: Path) -> bool:
    """Processes that other tests run leave it while they run, with paths of this machine."""
    return path.name.startswith(".coverage")


def documents() -> list[Path]:
    return files(".md")


def test_no_file_names_an_index_host_or_a_path_of_one_machine():
    for path in files():
        if path.stat().st_size <= MAX_TEXT_BYTES:
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
                assert not OF_ONE_MACHINE.search(line), f"{path.relative_to(ROOT)}:{number}"


@pytest.mark.parametrize(
    "line",
    [
        "--index-" + "url https://pypi.example/simp" + "le",
        "see /ro" + "ot/project",
        'open("/wo' + 'rk/main/x")',
        "/ho" + "me/carol/nzcore",
    ],
)
def test_a_planted_host_or_path_is_found(line):
    assert OF_ONE_MACHINE.search(line)


def anchors(page: str) -> set[str]:
    """What headings are called in links, as GitHub derives it."""
    titles = re.findall(r"^#+\s+(.+?)\s*$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_resolves(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(target.read_text()), f"{page.name}: {link}"


@pytest.mark.parametrize("page", [p for p in documents() if p.parent == ROOT], ids=lambda path: path.name)
def test_files_that_a_document_names_exist(page):
    for name in re.findall(
        r"`((?:tools|spec|tests|nzcore|vectors|modules|requirements)/[\w./-]*\w)`", page.read_text()
    ):
        planned = page.name == "MANIFEST.md" and f"| `{name}` |" in page.read_text()  # its own test looks at those
        assert planned or (ROOT / name).exists(), f"{page.name}: {name}"
