"""Lays the desk at which ``lifecycle`` works: it gets ears of the mirror, and never the mirror."""

from __future__ import annotations

import os
from datetime import datetime, time, timedelta
from functools import partial

from vault_sessions import folders
from vault_sessions.formats.fulltext import question_query
from vault_sessions.lifecycle.asking import Who
from vault_sessions.lifecycle.asking import who as who_by_metadata
from vault_sessions.lifecycle.desk import Desk, Saved
from vault_sessions.mirror import queries
from vault_sessions.mirror.store import Mirror
from vault_sessions.model import OFFLINE, Hit
from vault_sessions.rules.resume import Place, Rules
from vault_sessions.workspace.core import Core, git_root, path_text, random_bits


def desk_of(core: Core) -> Desk:
    """The desk for what is to be done now."""

    def saved(what: Saved) -> None:
        core.keeper.saved(*what)

    return Desk(
        core.vault,
        core.state,
        core.settings,
        place(core),
        core.environment,
        core.invocation,
        core.clock,
        random_bits,
        partial(_recall, core),
        core.named,
        saved,
        core.ask,
        os.path.join(folders.user_folder("config"), "skills"),
        core.keeper.changed,
        core.confirm,
        core.say,
        partial(_look_up, core),
    )


def place(core: Core) -> Place:
    """Where the program runs, as sessions are looked for."""
    root = os.path.realpath(core.vault.root)
    here = git_root(core.directory)
    return Place(path_text(core.directory), here and path_text(here), git_root(root))


def resume_rules(core: Core) -> Rules:
    """What the settings say of resuming and of new beginnings."""
    settings = core.settings
    return Rules(
        settings.resume_window,
        settings.scope,
        settings.reset,
        timedelta(minutes=settings.idle_minutes),
        time.fromisoformat(settings.daily_at),
    )


def who(core: Core, session_id: str) -> Who | None:
    """The model that works on a session: the one it is talking to, where it is open here. None:
    nobody, it is done without a model."""
    open_one = core.held.conversation
    if open_one is not None and open_one.session_id == session_id:
        offline = open_one.provider == OFFLINE
        return None if offline else Who(open_one.provider, open_one.model)
    return who_by_metadata(desk_of(core), core.meta(session_id))


def _recall(core: Core, question: str, session_id: str | None) -> list[Hit]:
    """Passages that may answer a question, from memory and from other sessions."""
    compiled = question_query(question)

    def ask(mirror: Mirror) -> list[Hit]:
        found = queries.search(
            mirror,
            compiled,
            newest=False,
            limit=40,
            where="sessions",
            answers_of_models=True,
            not_session=session_id,
        )
        return found + queries.search(mirror, compiled, newest=False, limit=20, where="memory")

    return core.keeper.ask(ask)


def _look_up(core: Core, query: str, where: str, since: datetime | None, limit: int) -> list[Hit]:
    """Passages that have words of a query, the most relevant first."""
    compiled = question_query(query)
    return core.keeper.ask_fresh(
        lambda mirror: queries.search(
            mirror,
            compiled,
            newest=False,
            limit=limit,
            where=where,
            since=since,
            answers_of_models=True,
        )
    )
