"""Takes back what one run of the launcher has made, whatever ended it."""

from __future__ import annotations

import contextlib
import signal
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from client.errors import ClientError
from client.launcher.cloud import Belongings
from client.launcher.doing.clock import TimeIsUp
from client.launcher.doing.removal import POLL_S, TIMEOUT_S, delete_group, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.launcher.cloud import Mark
    from client.launcher.doing.tools import Tools

# How long a cloud may take to show what it was asked for when the answer was not waited for.
SETTLING_S = 15.0


def undo(mark: Mark, tools: Tools, *, is_settled: bool = True) -> None:
    """Delete what a run has made, and say so; what cannot be deleted is left to the user, who is told.

    It is not settled whether something was made if the run ended while it asked for it: then it may appear yet.
    Blocks. Only a second Ctrl-C ends it before its time. Raises nothing.
    """
    try:
        with _shielded():
            tools.report.stage("undoing what was made")
            tools = replace(tools, clock=tools.clock.restarted(TIMEOUT_S))
            if _remove_all(mark, tools, settling_s=0 if is_settled else SETTLING_S):
                tools.report.note("what was made is deleted again")
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 # whatever it is, the user pays for what is left
        why = "interrupted again" if isinstance(error, KeyboardInterrupt) else str(error) or "time is up"
        tools.report.warn(f"not everything was undone ({why}): stop_instance.py {mark.name} deletes the rest")


def _remove_all(mark: Mark, tools: Tools, *, settling_s: float) -> bool:
    """Whether there was anything."""
    was_anything = False
    while True:
        made = tools.patiently(tools.cloud.belongings).of_run(mark.run)
        if not made.is_empty:
            was_anything = True
            remove(made, tools)
        elif tools.clock.elapsed_s >= settling_s:
            return was_anything
        else:
            tools.clock.pause(POLL_S)


def give_way(mark: Mark, tools: Tools) -> None:
    """Delete the server of a run that another one was quicker than.

    Addresses and groups stay for now: the other run may have found them, and be using them.
    """
    tools = replace(tools, clock=tools.clock.restarted(TIMEOUT_S))
    made = tools.patiently(tools.cloud.belongings).of_run(mark.run)
    remove(Belongings(servers=made.servers), tools)


def remove_unused(mark: Mark, tools: Tools) -> None:
    """Delete those addresses and groups of a run that turned out to be used by nobody, since another was quicker.

    A group that stays in use for `SETTLING_S` is another run's by now. Raises nothing.
    """
    tools = replace(tools, clock=tools.clock.restarted(SETTLING_S))
    made = Belongings()
    with _forgiving():
        made = tools.patiently(tools.cloud.belongings).of_run(mark.run)
    for address in made.floating_addresses:
        if address.server_id is None:
            with _forgiving():
                tools.patiently(partial(tools.cloud.delete_floating_address, address.id))
    for group in made.security_groups:
        with _forgiving():
            delete_group(group.id, tools)


def _forgiving() -> contextlib.AbstractContextManager[None]:
    return contextlib.suppress(ClientError, TimeIsUp)


@contextlib.contextmanager
def _shielded() -> Iterator[None]:
    """Let no signal but Ctrl-C end what goes on. Signals are a matter of the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
