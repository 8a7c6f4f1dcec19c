"""Makes vectors/module.json: manifests that can be read, manifests that are refused and on which line, and digests."""

import hashlib

GOOD = """\
name = "hello"
version = "1.0.0"
api = "0"
summary = "Says hello."
entry = "hello:Hello"
capabilities = ["kv:notes", "bus:publish:hello.**", "bus:subscribe:peer.*", "fabric:hello.greet", "call:node.state"]

[provides]
operations = ["greet", "count_all"]
commands = ["greet"]
services = ["look"]

[requires]
modules = { profile = ">=1.0,<2.0", chat = "*" }
"""
SHORT = 'name = "a"\nversion = "0.1"\napi = "0"\nentry = "a:A"\n'

Case = dict[str, object]


def generate() -> dict[str, object]:
    """The whole document."""
    return {
        "specification": "spec/module.md",
        "comment": "manifests are text; digests are of files given as hexadecimal",
        "cases": [*_good(), *_refused(), *_digests(), *_covered()],
    }


def _good() -> list[Case]:
    rows = [
        ("everything", "every key once", GOOD),
        ("shortest", "only what must be there", SHORT),
        ("dotted entry", "the class may be in a package", SHORT.replace("a:A", "inner.code:A")),
        ("hyphen", "names may have hyphens inside", SHORT.replace('"a"', '"my-notes"')),
        ("dotted keys", "TOML's other spelling of tables", SHORT + 'provides.operations = ["x"]\n'),
        ("no network", "a promise that stands alone", SHORT + 'capabilities = ["net:none", "timer"]\n'),
    ]
    return [
        {"name": name, "comment": comment, "kind": "manifest", "expect": "ok", "manifest": text}
        for name, comment, text in rows
    ]


def _refused() -> list[Case]:
    rows = [
        ("empty", "nothing is there", "", 1),
        ("not TOML", "a line that is none", SHORT + "nonsense\n", 5),
        ("unknown key", "it is refused, not ignored", SHORT + 'colour = "red"\n', 5),
        ("unknown key inside", "in tables, too", SHORT + '[provides]\noperation = ["x"]\n', 6),
        ("missing key", "no entry", SHORT.replace('entry = "a:A"\n', ""), 1),
        ("wrong type", "capabilities are a list", SHORT + 'capabilities = "timer"\n', 5),
        ("wrong type inside", "of texts", SHORT + "capabilities = [\n  1\n]\n", 5),
        ("name", "capitals", SHORT.replace('"a"', '"A"'), 1),
        ("name with a hyphen at its end", "it would look like nothing", SHORT.replace('"a"', '"a-"'), 1),
        ("name of the node's own", "a command is called that", SHORT.replace('"a"', '"peer"'), 1),
        ("version", "a leading zero", SHORT.replace("0.1", "0.01"), 2),
        ("api", "from the future", SHORT.replace('api = "0"', 'api = "1"'), 3),
        ("entry", "without a class", SHORT.replace("a:A", "a"), 4),
        ("entry that climbs", "it is a name, not a path", SHORT.replace("a:A", "..a:A"), 4),
        ("unknown capability", "on the line where it stands", SHORT + 'capabilities = [\n"timer",\n"root",\n]\n', 7),
        ("capability twice", "once is enough", SHORT + 'capabilities = ["timer", "timer"]\n', 5),
        (
            "somebody else's voice",
            "topics begin with the own name",
            SHORT + 'capabilities = ["bus:publish:node.x"]\n',
            5,
        ),
        ("the node's protocol", "/nz/ is taken", SHORT + 'capabilities = ["stream:/nz/x/1"]\n', 5),
        ("wildcard operation", "a grant names one operation", SHORT + 'capabilities = ["call:node.*"]\n', 5),
        ("contradiction", "no network, and yet", SHORT + 'capabilities = ["net:none",\n"fabric:a.b"]\n', 5),
        ("command without operation", "it would do nothing", SHORT + '[provides]\ncommands = ["x"]\n', 6),
        ("requires itself", "for ever", SHORT + '[requires]\nmodules = { a = "*" }\n', 6),
        ("demand", "no such sign", SHORT + '[requires.modules]\nb = "*"\nc = "~1.0"\n', 7),
        ("summary of two lines", "it would break tables", SHORT + 'summary = "a\\nb"\n', 5),
    ]
    return [
        {
            "name": name,
            "comment": comment,
            "kind": "manifest",
            "expect": "module.bad-manifest",
            "manifest": text,
            "line": line,
        }
        for name, comment, text, line in rows
    ]


def _digests() -> list[Case]:
    rows: list[tuple[str, str, dict[str, bytes]]] = [
        ("no file", "only the label", {}),
        ("one file", "a path and its hash", {"module.toml": b"x"}),
        ("order", "paths are sorted by their bytes", {"b.py": b"2", "a/z.py": b"1", "a.py": b"", "é.txt": b"3"}),
    ]
    return [
        {
            "name": name,
            "comment": comment,
            "kind": "digest",
            "expect": "ok",
            "files": {path: data.hex() for path, data in files.items()},
            "digest": _digest(files),
        }
        for name, comment, files in rows
    ]


def _digest(files: dict[str, bytes]) -> str:
    """Written from the specification, not with the code that it checks."""
    message = b"NZ-MODULE-01 files\0"
    for path in sorted(path.encode() for path in files):
        message += len(path).to_bytes(2, "big") + path + hashlib.sha256(files[path.decode()]).digest()
    return hashlib.sha256(message).hexdigest()


def _covered() -> list[Case]:
    rows = [
        ("a.b", "a.b", True), ("a.*", "a.b", True), ("a.*", "a.*", True), ("a.**", "a", True), ("a.**", "a.b.c", True),
        ("a.**", "a.**", True), ("a.**", "a.b.**", True), ("**", "a.*", True), ("a.*.c", "a.b.c", True),
        ("a.b", "a.*", False), ("a.*", "a.**", False), ("a.*", "a", False), ("a.*", "a.b.c", False),
        ("a.b.**", "a.**", False), ("a.**", "b", False), ("a.b", "a.**", False),
    ]  # fmt: skip
    return [
        {
            "name": f"{granted} {'covers' if covered else 'does not cover'} {wanted}",
            "comment": "a granted pattern and a wanted one",
            "kind": "cover",
            "expect": "ok",
            "granted": granted,
            "wanted": wanted,
            "covered": covered,
        }
        for granted, wanted, covered in rows
    ]
