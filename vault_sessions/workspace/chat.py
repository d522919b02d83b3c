"""``ws.chat``: which conversation is opened, the one that is open, and its turns.

An open conversation belongs to the thread that opened it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from vault_sessions.errors import ProviderError, VaultError
from vault_sessions.formats.ids import name_key
from vault_sessions.formats.session import SOON
from vault_sessions.formats.times import parse_time
from vault_sessions.lifecycle import opening
from vault_sessions.lifecycle.desk import Conversation, release
from vault_sessions.mirror import queries
from vault_sessions.rules import resume
from vault_sessions.rules.resume import Decision
from vault_sessions.workspace.core import Core, checked_name, quiet
from vault_sessions.workspace.desk import desk_of, place, resume_rules
from vault_sessions.workspace.models import Models

if TYPE_CHECKING:
    from vault_sessions.formats.memory import Skill
    from vault_sessions.lifecycle.turns import Turn


class Chat:
    """Conversations, one open at a time: decide which, begin it, take turns, leave it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @property
    def conversation(self) -> Conversation | None:
        """The open conversation; it belongs to the thread that opened it."""
        return self._core.held.conversation

    # --- which one ---

    def decide(self, *, new: bool = False) -> Decision:
        """Which session ``chat`` would open here and now, and why. Writes nothing."""
        core, now = self._core, self._core.clock()
        # a little wider than the window, so that the decision can say what just missed it
        window = min(core.settings.resume_window, timedelta(days=36_500))
        after = now - max(window * 2, timedelta(days=2))
        found = core.keeper.ask_fresh(lambda mirror: queries.candidates(mirror, now, after))
        in_use = core.state.leased() if found else set()
        open_here = [
            opening.candidate(session, at, session.id in in_use)
            for session in found
            if (at := parse_time(session.updated_at)) is not None
        ]
        return resume.decide(open_here, place(core), resume_rules(core), now, new=new)

    def decide_named(self, given: str) -> tuple[Decision, list[str]]:
        """As ``decide``, for a session asked for by name or id; and warnings.

        Raises AmbiguousSession, VaultError for what can't be a new name.
        """
        core, now = self._core, self._core.clock()
        name = checked_name(given)
        found = core.keeper.ask(lambda mirror: queries.find_sessions(mirror, now, given, 15))
        if not found:
            return Decision("new", None, f"there is no session named {name!r}", name), []
        named = found[0].name is not None and name_key(found[0].name) == name_key(given.strip())
        if len(found) > 1 and not named:
            core.find(given)
        warnings = []
        if len(found) > 1:
            both = " and ".join(session.id for session in found)
            warnings.append(
                f"{both} have the same name; the more recently active is opened. "
                f"Rename one: vault-sessions rename {found[-1].id} NAME"
            )
        runner_up = found[1].id if len(found) > 1 else None
        decision = Decision("resume", found[0].id, "it was asked for by name", runner_up=runner_up)
        return decision, warnings

    def next_session(self) -> Decision | None:
        """Whether the reset policy wants a new session before the next message."""
        from vault_sessions.lifecycle import changes

        conversation = self.conversation
        if conversation is None or conversation.session_id is None or conversation.private:
            return None
        changes.refresh(desk_of(self._core), conversation)
        now = self._core.clock()
        times = [
            message.created_at
            for message in conversation.messages
            if message.role in ("user", "assistant") and message.created_at is not None
        ]
        known = [at for at in times if at <= now + SOON]
        last = max([*known, *([conversation.opened_at] if conversation.opened_at else [])])
        reason = resume.reset_due(last, resume_rules(self._core), now)
        return Decision("new", None, reason) if reason else None

    def check_new(
        self, name: str | None, provider: str | None, model: str | None, skill: str | None
    ) -> dict[str, str]:
        """What is wrong with what a new session is to have, by field; empty: nothing."""
        core = self._core
        faults: dict[str, str] = {}
        try:
            if name is not None and (taken := core.named(checked_name(name))) is not None:
                faults["name"] = f"That is the name of {taken} already (or its id)."
        except VaultError as error:
            faults["name"] = str(error)
        try:
            Models(core).check(provider or core.settings.default_provider)
        except ProviderError as error:
            faults["provider"] = str(error)
        try:
            if skill is not None:
                opening.find_skill(desk_of(core), skill)
        except VaultError as error:
            faults["skill"] = str(error)
        return faults

    # --- opening and leaving ---

    def begin(
        self,
        decision: Decision,
        *,
        provider: str | None = None,
        model: str | None = None,
        skill: str | None = None,
        private: bool = False,
    ) -> Conversation:
        """Open what was decided; nothing is written until something is said, but that a session
        which this one follows is marked as ending."""
        from vault_sessions.lifecycle import endings

        self.leave()
        desk = desk_of(self._core)
        options: dict[str, Any] = {
            "provider": provider,
            "model": model,
            "skill": skill,
            "private": private,
        }
        if decision.session_id is not None:
            conversation = opening.open_session(desk, decision.session_id, **options)
        else:
            conversation = opening.open_new(desk, name=decision.name, **options)
        if decision.ends is not None and not private:
            endings.mark_ending(desk, decision.ends, "new")
        self._core.held.conversation = conversation
        return conversation

    def begin_anew(self, **options: Any) -> Conversation:
        """Begin afresh, with options as for ``begin``; the open conversation, if it has a session,
        is marked as ending."""
        before = self.conversation
        ends = before.session_id if before is not None and not before.private else None
        self.leave()
        return self.begin(Decision("new", None, "asked for", ends=ends), **options)

    def leave(self) -> None:
        """Give the open conversation free; nothing more is written for it."""
        if self.conversation is not None:
            release(self.conversation)
            self._core.held.conversation = None

    def resumed(self, decision: Decision) -> str | None:
        """``Resumed "…" (last active 25 minutes ago) · /new starts afresh``; None for a new one."""
        if decision.session_id is None:
            return None
        session = self._core.find(decision.session_id)
        at = parse_time(session.updated_at)
        return resume.resumed_line(session.topic or session.label, at, self._core.clock())

    def refresh(self) -> bool:
        """Re-read the open conversation if a file of it has changed. Was it so?"""
        from vault_sessions.lifecycle import changes

        conversation = self.conversation
        if conversation is None:
            return False
        before, meta = conversation.seen, conversation.meta
        changes.refresh(desk_of(self._core), conversation)
        if conversation.session_id is not None and not conversation.private:
            conversation.meta = self._core.meta(conversation.session_id)
            conversation.name = conversation.meta.name
        return conversation.seen is not before or conversation.meta != meta

    # --- turns ---

    def take_turn(
        self,
        text: str,
        *,
        session: str | None = None,
        on_text: Callable[[str], None] = quiet,
        on_wait: Callable[[float, str], None] = lambda seconds, why: None,
        on_note: Callable[[str], None] = quiet,
        again: str | None = None,
    ) -> Turn:
        """Say something and get an answer, in the open conversation, in ``session`` (a name or
        id), or in the one that the rules choose.

        ``again``: as ``say_again``, of the message with that id. ``on_note`` hears of each call of
        a tool. Failures of the model are in the Turn; what was said is on disk. Raises VaultError.
        """
        from vault_sessions.lifecycle import turns

        if session is not None:
            self.leave()
            decision, warnings = self.decide_named(session)
            for warning in warnings:
                self._core.say(f"Warning: {warning}")
            self.begin(decision)
        elif self.conversation is None:
            self.begin(self.decide())
        conversation = self.conversation
        assert conversation is not None
        desk = desk_of(self._core)
        return turns.take_turn(desk, conversation, text, on_text, on_wait, on_note, again)

    def say_again(self, message_id: str, text: str, **heard: Any) -> Turn:
        """Say an earlier message of the user's again, as it was or in other words: a branch of the
        open conversation beside it, which stays as it is. One that still waits for its answer,
        unchanged, gets it. ``heard``: as for ``take_turn``. Raises VaultError."""
        return self.take_turn(text, again=message_id, **heard)

    def retry(self, **heard: Any) -> Turn:
        """Get another answer to what was said last in the open conversation. Raises VaultError."""
        from vault_sessions.lifecycle import changes, standing

        if self.conversation is None:
            raise VaultError("No conversation is open in which something could be said again.")
        changes.refresh(desk_of(self._core), self.conversation)
        said = standing.last_said(self.conversation)
        return self.say_again(said.id, said.text, **heard)

    def stand_on(self, message_id: str) -> None:
        """Go to the newest branch of the open conversation that this message is on; what is said
        next is said there. Raises VaultError: the message is not there any more."""
        from vault_sessions.lifecycle import standing

        if self.conversation is not None:
            standing.stand_on(desk_of(self._core), self.conversation, message_id)

    def said(self, text: str) -> bool:
        """Was it said in the open conversation in this run? (Then it is on disk.)"""
        spoken = self.conversation.messages if self.conversation is not None else []
        ours = [m for m in spoken if m.fields.get("invocation_id") == self._core.invocation]
        return any(m.role == "user" and m.text == text for m in ours)

    # --- with which model and skill ---

    def skills(self) -> dict[str, Skill]:
        """The skills there are, by the stem of their file."""
        return opening.list_skills(desk_of(self._core))

    def use_skill(self, name: str | None) -> None:
        """Use a skill from now on; None: none. Raises VaultError when there is no such skill."""
        if name is not None:
            opening.find_skill(desk_of(self._core), name)
        if self.conversation is not None:
            self.conversation.skill = name
            self._keep_choice({"skill": name})

    def use_model(self, provider: str | None, model: str | None) -> None:
        """Use another provider or model from now on; an empty model: the provider's own. Raises
        ProviderUnusable, saying what to set."""
        now = self.conversation
        if now is None:
            return
        if provider is not None:
            Models(self._core).check(provider)
            if provider != now.provider:
                now.model = None
            now.provider = provider
        if model is not None:
            now.model = model or None
        now.switched = True
        self._keep_choice({"provider": now.provider, "model": now.model})

    def _keep_choice(self, fields: dict[str, Any]) -> None:
        """Save it in the session at once, so that it is there again if nothing more is said."""
        now = self.conversation
        if now is None or now.session_id is None or now.private:
            return
        try:
            self._core.change_meta(now.session_id, fields)
        except VaultError as error:  # it is used all the same, and saved with the next message
            now.notices.append(str(error))
        else:
            now.meta = self._core.meta(now.session_id)
