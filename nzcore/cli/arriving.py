"""A node for whoever has none yet: offers to make one and to start it, before what was asked for."""

from nzcore.base.errors import NzError
from nzcore.cli import output
from nzcore.cli.asking import agree
from nzcore.cli.files import is_interactive
from nzcore.cli.session import Session


def need_node(session: Session) -> None:
    """Returns when a node runs. A person is offered to make and start one; else it *raises* what is missing.

    *Raises* UnavailableError `node.no-home`, `ipc.not-running`; click.Abort where the person says no.
    """
    for _ in range(2):  # first a home, then a running node
        try:
            session.call("node.state")
            return
        except NzError as error:
            missing = error.code in ("node.no-home", "ipc.not-running") and "pid" not in error.facts
            if not missing or not is_interactive(session):
                raise
            if error.code == "node.no-home":
                agree(f"there is no node in {session.home.path} yet; make one and start it?", default=True)
                _make(session)
            _start(session, ask=error.code != "node.no-home")
    session.call("node.state")


def _make(session: Session) -> None:
    from nzcore.cli.commands.init import command

    command.main([], prog_name="nzcore init", standalone_mode=False, obj=session)
    output.say("")


def _start(session: Session, *, ask: bool) -> None:
    from nzcore.cli.commands.up import command

    if ask:
        agree("the node does not run; start it?", default=True)
    if session.home.needs_passphrase() and session.chosen_passphrase is None:
        output.say("its passphrase, to start it:")
    command.main(["-d"], prog_name="nzcore up", standalone_mode=False, obj=session)
    output.say("")
