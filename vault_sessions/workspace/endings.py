"""``ws.endings``: sessions end, and what else is done when nobody waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vault_sessions.errors import BadAnswer, ProviderError, VaultError
from vault_sessions.lifecycle import endings, topics
from vault_sessions.lifecycle.desk import Saved
from vault_sessions.lifecycle.endings import Ended
from vault_sessions.mirror import queries
from vault_sessions.model import OFFLINE, Session
from vault_sessions.rules.ending import Due, ends_by_itself, lacks_topic
from vault_sessions.workspace.core import Core
from vault_sessions.workspace.desk import desk_of, resume_rules, who


class Endings:
    """Ends sessions, makes missing topics, and looks after what a turn may have left to do."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._topic_tried: str | None = None

    # --- ending ---

    def end(self, given: str, *, offline: bool = False, learn: bool = False) -> Ended:
        """End a session now: topic, summary, facts, the picture of the user. ``offline``: without
        a model; ``learn``: memory learns from it even if it was imported.

        Raises SessionNotFound, AmbiguousSession, VaultError; ProviderError: it stays ``ending``.
        """
        session_id = self._core.find(given).id
        desk = desk_of(self._core)
        return endings.end_session(desk, session_id, "command", offline=offline, learn=learn)

    def complete(self, session_id: str) -> Ended | None:
        """End a session that is marked as ending; None: it is not, somebody goes on with it.
        Raises as ``end``."""
        mark = self._core.meta(session_id).ending
        return endings.end_session(desk_of(self._core), session_id, mark.reason) if mark else None

    def end_all(
        self,
        session_ids: Sequence[str] | None = None,
        *,
        offline: bool = False,
        learn: bool = False,
    ) -> Iterator[Ended]:
        """As ``end``, one after another: these sessions, or all that have not ended, those first
        that were left first. What went wrong with one is in its result; after a model that can't
        be reached no more come."""
        if session_ids is None:
            session_ids = [session.id for session in reversed(self.unended())]
        dues = [Due(session_id, "command") for session_id in session_ids]
        return self._end_each(dues, offline=offline, learn=learn)

    def unended(self) -> list[Session]:
        """The sessions that have not ended, the newest activity first."""
        now = self._core.clock()
        return self._core.keeper.ask_fresh(lambda mirror: queries.not_ended(mirror, now))

    def _end_each(
        self, dues: Sequence[Due], *, offline: bool = False, learn: bool = False
    ) -> Iterator[Ended]:
        core = self._core
        paths: set[str] = set()  # mirrored together: each by itself takes as long as its ending

        def saved(what: Saved) -> None:
            paths.update((core.vault.transcript(what.session_id), core.vault.meta(what.session_id)))

        desk = desk_of(core)._replace(saved=saved, wrote=paths.update)
        try:
            for name, reason in dues:
                try:
                    yield endings.end_session(desk, name, reason, offline=offline, learn=learn)
                except (BadAnswer, VaultError) as error:
                    yield Ended(name, name, "ending", error=str(error))
                except ProviderError as error:
                    yield Ended(name, name, "ending", error=str(error))
                    return
        finally:
            if paths:
                core.keeper.changed(paths)

    # --- in the background ---

    def after_turn(self, session_id: str) -> None:
        """What may be due after an answer: a topic, a compaction. Raises ProviderError, VaultError:
        it is tried again after the next one."""
        from vault_sessions.lifecycle import compacting

        desk, model = desk_of(self._core), who(self._core, session_id)
        try:
            self._topic_tried = session_id
            topics.give_topic_if_due(desk, session_id, model)
        except BadAnswer:
            pass  # nothing to be told of: the next turn tries again
        finally:
            compacting.compact_if_due(desk, session_id, model)

    def look_after(self) -> Iterator[Ended]:
        """End the sessions of this machine whose time is over, and those whose ending was cut
        short, five at most; then make topics that are missing. What failed says why; where the
        model can't be reached nothing more is tried."""
        failed = False
        for done in self._end_each(self._due()):
            yield done
            failed = done.error is not None
        desk = desk_of(self._core)
        for session_id in () if failed else self._without_topic():
            if session_id == self._topic_tried:  # just now, after its turn
                continue
            try:
                topics.give_topic_if_due(desk, session_id, who(self._core, session_id))
            except (BadAnswer, VaultError):
                continue
            except ProviderError:
                return

    def _due(self) -> list[Due]:
        state = self._core.state
        rows, ours = self.unended(), state.written()
        rules, now = resume_rules(self._core), self._core.clock()
        perhaps = ends_by_itself(rows, rules, now, ours, (), len(rows))
        in_use = {due.session_id for due in perhaps if state.is_leased(due.session_id)}
        return ends_by_itself(rows, rules, now, ours, in_use)

    def _without_topic(self) -> list[str]:
        settings = self._core.settings
        if not settings.topic_auto:
            return []
        has_model = settings.default_provider != OFFLINE
        return lacks_topic(self.unended(), self._core.state.written(), has_model=has_model)
