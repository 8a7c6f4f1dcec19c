"""Reasons of `nzcore.cli`: what a command line can't mean, and what stands in its way."""

from nzcore.base.reasons import Reason

REASONS = {
    "usage": Reason("the command line can't be read", "nzcore --help shows the commands, NAME --help one of them"),
    "bug": Reason("nzcore itself failed", "report this with the file's text; it holds no secrets"),
    "output": Reason("standard output can't be written", "make room, or send the output elsewhere"),
    "system": Reason("the system refused something", "check the path, its owner and the disk; nzcore doctor may know"),
    "unreadable": Reason("a file can't be read", "check the path and who may read it"),
    "unwritable": Reason("a file can't be written", "check the path and who may write there"),
    "file-exists": Reason("a file is already there and is not overwritten", "choose another name or move it away"),
    "exposed-file": Reason("other users of this machine can read a secret", "chmod 600 the file"),
    "empty-passphrase": Reason("there is no passphrase", "put it into the first line of the file"),
    "not-the-same": Reason("the two passphrases differ", "try again, or use --passphrase-file"),
    "passphrase-needed": Reason(
        "this home is sealed with a passphrase", "--passphrase-file F, or run it in a terminal to be asked"
    ),
    "no-protection": Reason(
        "how the keys are to be sealed is not said", "--passphrase-file F, or --no-passphrase for a key file"
    ),
    "stale-unit": Reason(
        "the installed systemd unit would not start the node with what opens its home",
        "install it anew: nzcore service install --force, with --passphrase-file F where a passphrase opens the home",
    ),
    "home-exists": Reason("there is a node already", "use it, or choose another folder with --home DIR"),
    "no-unit-path": Reason(
        "a unit of systemd can't hold this path", "move it to a path of plain text, or give it one by a symbolic link"
    ),
    "words-not-confirmed": Reason("the words were not given back", "run init again and write the words down"),
    "no-certificate": Reason("there is no certificate", "name the file that `nzcore identity sign` answered with"),
    "no-mnemonic": Reason("the 24 words are needed", "--mnemonic-file F (- for standard input)"),
    "not-ready": Reason("the node did not become ready", "nzcore logs and nzcore doctor tell more"),
    "timeout": Reason("it took longer than allowed", "give it longer with --timeout S; nzcore doctor tells more"),
    "unknown-code": Reason("no such code", "nzcore explain lists all codes"),
    "unknown-operation": Reason("no such operation", "nzcore schema lists all operations"),
    "no-card": Reason("there is no card", "nzcore identity card prints a node's card"),
    "needs-yes": Reason("nobody is there to be asked", "say --yes if you mean it"),
    "module-stopped": Reason("the module that has this command does not run", "`nzcore module list` shows its state"),
    "bad-module-name": Reason(
        "not a name for a module",
        "small letters, digits and hyphens, beginning with a letter; not a name of nzcore's own",
    ),
    "no-log": Reason("there is no log yet", "a node writes it once started: nzcore up -d"),
    "demo-failed": Reason("a step of the demo failed", "nzcore demo --keep leaves its folder to look at"),
    "no-picture-reader": Reason(
        "pictures of QR codes can't be read here",
        "in the clone of nzcore: .venv/bin/pip install -e '.[picture]'; or paste the text",
    ),
    "no-code": Reason(
        "there is not one ticket or card to be read in the picture", "crop it to the one QR code, or paste the text"
    ),
    "nothing-to-join": Reason(
        "no ticket, card or name was given", "paste the ticket, or pipe it in: nzcore join < ticket.txt"
    ),
}
