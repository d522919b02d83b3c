"""The chat: what was said, what is being said, and where one types."""

from __future__ import annotations

from asyncio import Lock
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import TextArea

from vault_sessions.errors import BadAnswer, VaultSessionsError
from vault_sessions.tui import commands, told
from vault_sessions.tui.app import ChatApp
from vault_sessions.tui.cards.ask import AskScreen
from vault_sessions.tui.cards.new_session import NewSession
from vault_sessions.tui.drawing import Drawing
from vault_sessions.tui.finding import words_of
from vault_sessions.tui.newest import Newest
from vault_sessions.tui.screens.questions import Questions
from vault_sessions.tui.talk import (
    Flow,
    View,
    Wanted,
    change_of,
    is_continued,
    look,
    renewed,
    summed_up,
    turn,
)
from vault_sessions.tui.under_way import UnderWay
from vault_sessions.tui.widgets.banner import Banner
from vault_sessions.tui.widgets.completion import Completion
from vault_sessions.tui.widgets.conversation import Conversation
from vault_sessions.tui.widgets.header import Header
from vault_sessions.tui.widgets.keys import Keys
from vault_sessions.tui.widgets.marker import Marker
from vault_sessions.tui.widgets.prompt import Prompt
from vault_sessions.tui.widgets.status import Status
from vault_sessions.tui.widgets.waiting import Waiting

if TYPE_CHECKING:
    from vault_sessions.lifecycle.turns import Turn
    from vault_sessions.model import Proposal
    from vault_sessions.rules.resume import Decision
    from vault_sessions.tui.screens.search import Asked, Searched
    from vault_sessions.workspace import Workspace


class ChatScreen(Screen[None]):
    """One conversation. Everything that may take time is asked of a hand."""

    app: ChatApp
    BINDINGS = [
        Binding("escape", "stop", "Stop", show=False, tooltip="stop the answer; what came is kept"),
        Binding("ctrl+l", "sessions", "Sessions", priority=True),
        Binding("ctrl+t", "new", "New", priority=True),
        Binding(
            "ctrl+n",
            "form",
            "New by the form",
            show=False,
            priority=True,
            tooltip="a new conversation with a name, provider, model or skill",
        ),
        Binding("ctrl+f", "search", "Find", priority=True),
        Binding("ctrl+k", "memory", "Memory", priority=True),
        Binding("ctrl+a", "skill", "Skill", priority=True),
        Binding("ctrl+p", "model", "Model", priority=True),
        Binding("ctrl+e", "edit", "Edit", show=False, priority=True),
        Binding("ctrl+r", "retry", "Retry", show=False, priority=True),
        Binding(
            "less_than_sign",
            "branch(-1)",
            "Branches",
            key_display="< >",
            priority=True,
            tooltip="in an empty input: the other branches",
        ),
        Binding("greater_than_sign", "branch(1)", show=False, priority=True),
        Binding("ctrl+y", "copy", "Copy", show=False, priority=True),
        Binding("f2", "answer", "Answer", priority=True),
        Binding("f1", "help", "Help", priority=True),
        Binding(
            "pageup",
            "earlier",
            "Earlier",
            show=False,
            priority=True,
            tooltip="a page up, to what came before",
        ),
        Binding("pagedown", "later", "Later", show=False, priority=True, tooltip="a page down"),
        Binding("ctrl+end", "newest", "Newest", show=False, priority=True, tooltip="to the end"),
    ]

    def __init__(self, wanted: Wanted) -> None:
        super().__init__()
        self.takes_keys = True
        """False while another screen is about to come, or what was chosen there to be done."""
        self._wanted = wanted
        self._view: View | None = None
        self._reason = ""
        self._under_way = UnderWay()
        self._left: Flow | None = None
        self._typed: list[str] = []
        self._asks_to_go: AskScreen | None = None
        self._aim: int | None = None  # the branch that one is going to
        self._moves = 0
        self._pace = Lock()
        self._asked: Asked | None = None
        self._newest_look = Newest()
        self._look_later = False
        self._begun: str | None = None
        self._drawing: Drawing

    def compose(self) -> ComposeResult:
        """From the top: header, conversation, status, input, keys."""
        completion = Completion()
        yield Header(id="header")
        yield Banner()
        yield Conversation()
        yield Status(id="status")
        yield Questions(lambda: self.session_now)
        yield Waiting()
        yield completion
        yield Prompt(completion)
        yield Keys()

    def on_mount(self) -> None:
        """Take keys at once; the conversation comes when it has been found."""
        self.query_one(Prompt).focus()
        self._drawing = Drawing(self, self.app.typed)
        self.call_after_refresh(self._open)  # it is seen before anything is read

    # --- opening ---

    @work(exclusive=True, group="talk")
    async def _open(self) -> None:
        wanted = self._wanted

        def decided(ws: Workspace) -> tuple[Decision, list[str]]:
            if wanted.session is not None:
                return ws.chat.decide_named(wanted.session)
            if wanted.private and not wanted.new:
                from vault_sessions.rules.resume import Decision

                return Decision("new", None, "private: nothing is stored"), []
            return ws.chat.decide(new=wanted.new), []

        await self._begin(decided, wanted, first=True)
        if self._view is not None and not wanted.private:
            self.query_one(Questions).ask_offers()
            self._look_around()
        self._say_what_waits()

    @work(group="around")
    async def _look_around(self) -> None:
        """What may wait until the conversation is seen: others' changes, endings that are due, who
        could answer."""
        try:
            await self.app.reader.do(self.app.watch_vault)
            if self.app.behind is not None:
                self.app.behind.look()
            for line in await self.app.reader.do(lambda ws: ws.models.hints()):
                await self.query_one(Conversation).note(line)
        except (VaultSessionsError, OSError) as error:
            await self._fail(error)

    @property
    def session_now(self) -> str | None:
        """The open session, if anything of it is stored."""
        return self._view.session_id if self._view and not self._view.private else None

    @work(group="change")
    async def _switch(
        self, session_id: str, message_id: str | None = None, words: Sequence[str] = ()
    ) -> None:
        """Go on with that session; show that message of it, and those words in it, whatever branch
        it is on."""
        if session_id == self.session_now and message_id is None:
            return
        if not await self._may_go():
            return
        if session_id != self.session_now:
            await self._begin(lambda ws: ws.chat.decide_named(session_id), NewSession())
        if message_id is None or session_id != self.session_now:
            return
        conversation = self.query_one(Conversation)
        conversation.unmark()
        if not await conversation.go_to(message_id, words):
            await self._stand_on(message_id).wait()
            await conversation.go_to(message_id, words)

    async def _begin(
        self,
        decide: Callable[[Workspace], tuple[Decision, list[str]]],
        options: Wanted | NewSession,
        *,
        first: bool = False,
    ) -> None:
        """Open what is decided, in the talker's thread, and show it. (Nothing may cancel this in
        between: what is said would go where nobody sees it.)"""
        private = self._wanted.private

        def begun(ws: Workspace) -> tuple[View, list[str], str]:
            lines = told.at_first(ws, private=private) if first else []
            decision, warnings = decide(ws)
            line = ws.chat.resumed(decision)
            conversation = ws.chat.begin(
                decision,
                provider=options.provider,
                model=options.model,
                skill=options.skill,
                private=private,
            )
            lines += [*warnings, *([line] if line else told.of_a_new_one(conversation))]
            return look(conversation), lines, decision.reason

        async with self._pace:
            self.query_one(Status).busy("opening", can_stop=False)
            try:
                view, lines, self._reason = await self.app.talker.do(begun)
            except (VaultSessionsError, OSError) as error:
                if first:
                    self.app.give_up(error)
                else:
                    await self._fail(error)
                return
            finally:
                self.query_one(Status).idle()
            await self._show(view, lines)

    async def _show(self, view: View, lines: list[str]) -> None:
        """Show a conversation from its beginning to its end."""
        self._view = view
        self.query_one(Questions).forget()
        self._begun = view.session_id
        self.query_one(Header).show(view)
        conversation = self.query_one(Conversation)
        self.query_one(Prompt).leave_edit()
        await conversation.show(view.messages, view.forks)
        self.query_one(Prompt).remember([m.text for m in view.messages if m.role == "user"])
        self.refresh_bindings()
        for text in (*view.told, *lines):
            await conversation.note(text)
        self.query_one(Banner).edited("")
        self._look_for_problems()

    async def _fail(self, error: Exception) -> None:
        await self.query_one(Conversation).note(f"Error: {error}", is_error=True)

    # --- what others do ---

    def heard(self, kind: str, text: str) -> None:
        """Something changed in the vault; perhaps what is shown here."""
        # ready: what changed before anybody listened was not told
        is_news = kind in ("changed", "gone", "ready")
        if is_news and self._view is not None and not self._view.private:
            self._look_again()

    def note_in_passing(self, text: str) -> None:
        """Something to know, which goes by itself."""
        self.query_one(Status).note(text)

    @work(group="look")
    async def _look_again(self) -> None:
        await self._newest_look.do(self._refresh)

    async def _refresh(self) -> None:
        """Show what is on disk, if it is something else; after an answer, if one is on its way."""
        if not self._under_way.is_nothing:
            self._look_later = True
            return
        try:
            view = await self.app.talker.do(_refreshed)
        except (VaultSessionsError, OSError) as error:
            self.query_one(Banner).wrong(str(error))
            return
        if view is not None:
            async with self._pace:
                await self._show_changed(view)
        self._look_for_problems()

    async def _show_changed(self, view: View) -> None:
        """Show the conversation as others have changed it, unless one has gone on meanwhile: to
        another one, or with a turn, which shows everything at its end."""
        if self._view is None or view.session_id != self._view.session_id:
            return
        if self._under_way.answer is None:
            self._view = view
            self.query_one(Header).show(view)
            await self.query_one(Conversation).show(view.messages, view.forks, keep_place=True)
            self.refresh_bindings()
        if view.told:
            self.query_one(Banner).edited("\n".join(view.told))

    @work(exclusive=True, group="problems")
    async def _look_for_problems(self) -> None:
        """Say what is wrong in the open file, as long as it is so."""
        session_id = self._view.session_id if self._view else None
        wrong = None
        if session_id is not None and self._view is not None and not self._view.private:
            try:
                wrong = await self.app.reader.do(lambda ws: told.problems_of(ws, session_id))
            except (VaultSessionsError, OSError) as error:
                wrong = str(error)
        self.query_one(Banner).wrong(wrong)

    # --- a turn ---

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Offer the commands that begin so; ask what waits for an empty input."""
        if isinstance(event.text_area, Prompt):
            self.query_one(Completion).look(event.text_area.text)
            if not event.text_area.text:
                self.query_one(Questions).ask_when_quiet()

    def confirm(self, proposal: Proposal, answer: Callable[[str | None], None]) -> None:
        """Ask for a tool that wants to change memory."""
        self.query_one(Questions).ask_for_tool(proposal, answer)

    def action_answer(self) -> None:
        """Answer what is asked about memory."""
        self.query_one(Questions).answer()

    async def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        """Say it; or do it, if it is a command."""
        command = commands.parse(event.text)
        if command is None:
            self._say_or_wait(commands.to_say(event.text))
        elif self._view is None:
            self.query_one(Status).note("The conversation is still being opened.")
        else:
            self.query_one(Prompt).taken()
            self._command(*command)

    def _say_or_wait(self, text: str) -> None:
        """Say it; while an answer comes, when that is done."""
        prompt = self.query_one(Prompt)
        again = prompt.again
        if again is not None and self._is_busy():
            return
        prompt.taken()
        if self._under_way.answer is None and self._view is not None:
            self._say(text, again)
        else:
            self.query_one(Waiting).put(text)

    def _say(self, text: str, again: str | None = None) -> None:
        """Say it: nothing else is being said. ``again``: the message that is said again."""
        flow = self._under_way.begin_answer(text)
        self._drawing.begin(flow)
        self._take_turn(flow, again)

    @work(group="talk")
    async def _take_turn(self, flow: Flow, again: str | None) -> None:
        conversation = self.query_one(Conversation)
        async with self._pace:  # it is said where one was going to
            if again is not None:
                await conversation.cut(again)
            await conversation.say(flow.text)
        self.query_one(Banner).edited("")
        self.query_one(Status).busy(self._under_way.status)
        if await self._renew():
            again = None
            await conversation.say(flow.text)
        before = self._view.messages if self._view is not None else ()

        def said(ws: Workspace) -> tuple[Turn, View]:
            try:
                return turn(ws, flow, again)
            finally:  # known also where nobody waits for the answer any more
                self._begun = ws.chat.conversation.session_id if ws.chat.conversation else None

        try:
            done, view = await self.app.talker.do(said)
        except (VaultSessionsError, OSError) as error:
            if again is not None and self._view is not None:  # nothing was said again
                await conversation.show(self._view.messages, self._view.forks)
            await self._fail(error)
            self._is_said(flow)
            self._give_back(flow.text, again)
            return
        await self._drawing.finish()
        self._view = view
        self.query_one(Header).show(view)
        if is_continued(before, again, view.messages):
            await conversation.written(view.messages, view.forks)
        else:  # another program said something too
            await conversation.show(view.messages, view.forks, keep_place=True)
        self.refresh_bindings()
        for line in view.told:
            await conversation.note(line)
        if done.status == "cancelled":
            kept = "; what had arrived is kept" if done.text.strip() else ""
            await conversation.note(f"(stopped{kept})")
        if done.error is not None:
            await self._fail(done.error)
        self._is_said(flow)
        self._go_on(done, flow.text)

    def _is_said(self, flow: Flow) -> None:
        """The answer is done, or there is none: what had to wait for that is done now."""
        self._drawing.end()
        self._under_way.end_answer(flow)
        self._rest()

    def _rest(self) -> None:
        """Something is done; what had to wait for that is done now."""
        if not self._under_way.is_nothing:
            self.query_one(Status).busy(self._under_way.status)
            return
        self.query_one(Status).idle()
        card = self._asks_to_go
        if card is not None and card.is_current and not self.query_one(Waiting).texts:
            card.dismiss(True)  # there is nothing to be stopped any more
        if self._look_later:
            self._look_later = False
            self._look_again()

    def _say_what_waits(self) -> bool:
        """Say what was typed meanwhile, if something was."""
        following = self.query_one(Waiting).next() if self._under_way.answer is None else None
        if following is not None:
            self._say(following)
        return following is not None

    def _go_on(self, done: Turn, text: str) -> None:
        """After an answer what waits is said; after none the text is there to be said again."""
        if done.status == "cancelled":
            self._take_back()
        elif done.error is not None:
            self._take_back()
            if not self.query_one(Prompt).text:
                self._edit(-1)  # sent again as it is, it is not said twice
        else:
            self._after_turn(done)
            if not self._say_what_waits():
                self.query_one(Questions).look_for_correction(text)

    def _give_back(self, text: str, again: str | None) -> None:
        """What could not be said is in the input again."""
        self._take_back()
        prompt, typed = self.query_one(Prompt), commands.to_type(text)
        if again is not None and not prompt.text:
            prompt.begin_edit(again, typed)
        else:
            prompt.put_before(typed)

    def _take_back(self) -> None:
        """What waits to be said is in the input again, before what is there."""
        self.query_one(Prompt).put_before(self.query_one(Waiting).take_back())

    # --- what is typed while the conversation has the keys ---

    def on_key(self, event: events.Key) -> None:
        """A letter is for the input."""
        if isinstance(self.focused, Conversation) and event.is_printable and event.character:
            self.query_one(Prompt).type_on(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """A paste too."""
        if isinstance(self.focused, Conversation):
            self.query_one(Prompt).type_on(event.text)

    async def _renew(self) -> bool:
        """Begin a new conversation, if the reset policy wants one before the next message. Was it
        so?"""
        try:
            new = await self.app.talker.do(renewed)
        except (VaultSessionsError, OSError):  # the turn says it, if it is still so
            return False
        if new is None:
            return False
        view, self._reason = new
        await self._show(view, [f"A new conversation: {self._reason}."])
        if self.app.behind is not None:
            self.app.behind.look()
        return True

    def _after_turn(self, turn: Turn) -> None:
        """What may be due behind the conversation: a topic, a summary."""
        is_kept = turn.session_id is not None and not self._wanted.private
        if is_kept and turn.session_id is not None and self.app.behind is not None:
            self.app.behind.after_turn(turn.session_id)

    # --- branches ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Between branches one moves where there are some; F2 is there while something is asked."""
        if action == "answer":
            return self.query_one(Questions).is_waiting
        if action == "branch":
            branched = self._view is not None and len(self._view.tips) > 1
            return branched and self.query_one(Prompt).is_blank
        return super().check_action(action, parameters)

    def action_edit(self) -> None:
        """Say your last message again, in other words, on a branch of its own; then the one
        before it."""
        self._edit(-1)

    def on_prompt_edit(self, event: Prompt.Edit) -> None:
        """Up, in an empty input or a message to be said again."""
        self._edit(event.by)

    def _edit(self, by: int) -> None:
        prompt = self.query_one(Prompt)
        if self._view is None or self._aim is not None or self._is_busy():
            return
        if prompt.again is not None and not prompt.is_as_it_was:
            self.query_one(Status).note("You have changed it: Enter says it, Esc leaves it.")
            return
        mine = [message for message in self._view.messages if message.role == "user"]
        ids = [message.id for message in mine]
        at = (ids.index(prompt.again) if prompt.again in ids else len(ids)) + by
        if not mine:
            prompt.recall()
        elif at >= len(mine):
            self.action_stop()
        elif at >= 0:
            prompt.begin_edit(ids[at], commands.to_type(mine[at].text))
            self._mark(ids[at])

    @work(exclusive=True, group="mark")
    async def _mark(self, message_id: str) -> None:
        self.query_one(Conversation).unmark()
        await self.query_one(Conversation).go_to(message_id)

    def action_retry(self) -> None:
        """Ask for another answer to what you said last; the one there is stays on its branch."""
        if self._view is None or self._aim is not None or self._is_busy():
            return
        mine = [message for message in self._view.messages if message.role == "user"]
        if mine:
            self._say(mine[-1].text, mine[-1].id)
        else:
            self.query_one(Status).note("Nothing was said yet that could be answered again.")

    def action_branch(self, by: int) -> None:
        """Go to the branch before or after this one."""
        if self._view is not None:
            self._stand_at((self._view.at if self._aim is None else self._aim) + by)

    def _go_to_branch(self, number: str) -> None:
        if self._view is not None and (number.isdecimal() or not number):
            self._stand_at(int(number) - 1 if number else self._view.at + 1)
        elif self._view is not None:
            note = f"/branch NUMBER, from 1 to {max(1, len(self._view.tips))}; < and > too."
            self.query_one(Status).note(note)

    def _stand_at(self, at: int) -> None:
        if self._view is None or self._is_busy():
            return
        tips = self._view.tips
        if len(tips) < 2:
            self.query_one(Status).note("There is one branch. Ctrl+E and Ctrl+R make others.")
        elif 0 <= at < len(tips):
            self._aim = at
            self._stand_on(tips[at])
        else:
            which = "first" if at < 0 else "last"
            self.query_one(Status).note(f"That is the {which} of {len(tips)} branches.")

    def on_marker_moved(self, event: Marker.Moved) -> None:
        """Another form of a message is to be shown."""
        if self._view is not None and not self._is_busy():
            self._stand_on(event.message_id)

    @work(group="stand")
    async def _stand_on(self, message_id: str) -> None:
        """Show the branch that this message is on, from where it parts from the one shown. What is
        being shown is shown to its end: several keys are several moves, one after another."""
        self._moves += 1
        try:
            async with self._pace:
                await self._move_to(message_id)
        finally:
            self._moves -= 1
            if not self._moves:
                self._aim = None

    async def _move_to(self, message_id: str) -> None:
        def stood(ws: Workspace) -> View | None:
            ws.chat.stand_on(message_id)
            return look(ws.chat.conversation) if ws.chat.conversation else None

        before = self._view
        try:
            view = await self.app.talker.do(stood)
        except (VaultSessionsError, OSError) as error:
            await self._fail(error)
            return
        if view is None or before is None:
            return
        await self._show(view, [])
        there = {message.id for message in before.messages}
        parts = next((m.id for m in view.messages if m.id not in there), None)
        if parts is not None:
            await self.query_one(Conversation).go_to(parts)
        self.query_one(Status).note(f"Branch {view.at + 1} of {len(view.tips)}")

    # --- commands ---

    @work(group="command")
    async def _command(self, name: str, rest: str) -> None:
        """Do what a slash command says; meanwhile an answer goes on coming."""
        conversation = self.query_one(Conversation)
        match name:
            case "export" | "compact" if self._view is not None and not self._view.is_newest:
                await conversation.note(
                    f"/{name} takes the newest branch, and this is an older one. Say something "
                    f"here, and this is the newest."
                )
            case "quit" | "exit" | "q":
                self.app.action_leave()
            case "title" | "export":
                if await self._is_stored(name, rest):
                    await self._use(*change_of(name, rest, self.session_now))
            case "skill" | "model" if rest:
                await self._use(*change_of(name, rest, self.session_now))
            case "why":
                await conversation.note(self._reason)
            case "compact":
                await self._compact(rest)
            case "search" if rest:
                self.action_search(rest)
            case "branch":
                self._go_to_branch(rest)
            case "copy":
                self.action_copy(code=rest.startswith("code"))
            case _ if any(command.name == name for command in commands.COMMANDS):
                await self.run_action(f"screen.{name}")
            case _:
                await conversation.note(f"There is no command /{name}. /help lists them.")

    @work(group="change")
    async def _change(self, change: Callable[[Workspace], None], told: str) -> None:
        await self._use(change, told)

    async def _use(self, change: Callable[[Workspace], None], told: str) -> None:
        """Change something about the open conversation, and show it."""
        if not self._under_way.is_nothing:
            self.query_one(Status).note("That is done once this is.")

        def changed(ws: Workspace) -> View | None:
            change(ws)
            return look(ws.chat.conversation) if ws.chat.conversation else None

        try:
            view = await self.app.talker.do(changed)
        except (VaultSessionsError, OSError) as error:
            await self._fail(error)
            return
        if view is not None:
            self._view = view
            self.query_one(Header).show(view)
        await self.query_one(Conversation).note(told)

    async def _is_stored(self, name: str, given: str) -> bool:
        """Can a command be done that needs a session on disk, and something given? Else that is
        said."""
        note = self.query_one(Conversation).note
        usage = "title TEXT" if name == "title" else "export FILE (.md, .json or .yaml)"
        if self._wanted.private:
            await note("Private: nothing of this is stored.")
        elif self._view is None or self._view.session_id is None:
            await note(f"Say something first, then /{usage}")
        elif not given:
            await note(f"/{usage}")
        else:
            return True
        return False

    async def _compact(self, keep: str) -> None:
        """Summarize what was said but for the newest; ``keep``: what is to be kept of it."""
        conversation, status = self.query_one(Conversation), self.query_one(Status)
        session_id = self.session_now
        if session_id is None:
            await conversation.note("There is nothing to summarize yet.")
            return
        if self._is_busy():
            return
        stop = self._under_way.begin_summary()
        status.busy(self._under_way.status)
        try:
            done = await self.app.talker.do(lambda ws: summed_up(ws, stop, session_id, keep))
        except BadAnswer as error:
            await conversation.note(
                f"Nothing was summarized: {error} /compact tries again; /model chooses another "
                "model, and with `offline` sentences are chosen without one.",
                is_error=True,
            )
            return
        except (VaultSessionsError, OSError) as error:
            await self._fail(error)
            return
        finally:
            self._under_way.end_summary()
            self._rest()
        await conversation.note(told.of_a_summary(done))

    # --- other screens ---

    def _choose(self, choosing: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Let something be chosen on another screen; what is typed until that comes is for it."""

        async def chosen() -> None:
            try:
                await choosing()
            except (VaultSessionsError, OSError) as error:
                await self._fail(error)
            finally:
                self.takes_keys = True

        if self.takes_keys:
            self.takes_keys = False
            self.run_worker(chosen(), group="choose")

    def action_sessions(self) -> None:
        """Choose a conversation."""
        self._choose(self._choose_session)

    async def _choose_session(self) -> None:
        from vault_sessions.tui.screens.sessions import SessionsScreen

        now = self._view.session_id if self._view else None
        while (choice := await self.app.push_screen_wait(SessionsScreen(now))) is not None:
            if choice.session_id is not None:
                self._switch(choice.session_id, choice.message_id, choice.words)
                break
            if await self._fill_form():
                break
        if self.session_now is not None:
            self._look_again()  # it may have been renamed there

    def action_form(self) -> None:
        """A new conversation with a name, a provider, a model or a skill of its own."""
        self._choose(self._fill_form)

    async def _fill_form(self) -> bool:
        """Begin another conversation as the form says; False: it was left."""
        from vault_sessions.tui.screens.choosing import fill_form

        wanted = await fill_form(self.app)
        if wanted is not None:
            self._begin_as(wanted)
        return wanted is not None

    @work(group="change")
    async def _begin_as(self, wanted: NewSession) -> None:
        """Begin another conversation; this one is ended."""
        from vault_sessions.rules.resume import Decision

        if self._view is None or not await self._may_go():
            return
        ends = None if self._view.private else self._view.session_id
        decision = Decision("new", None, "asked for", wanted.name, ends=ends)
        await self._begin(lambda ws: (decision, []), wanted._replace(name=None))
        self._complete_ending(ends)

    def _is_busy(self) -> bool:
        """Is there an answer on its way? Then that is said: first it is to be stopped."""
        if not self._under_way.is_nothing:
            what = self._under_way.what
            self.query_one(Status).note(f"{what}: Esc stops it, then this can be done.")
        return not self._under_way.is_nothing

    async def _may_go(self) -> bool:
        """Is no answer on its way any more? One that is may be stopped, if one is asked."""
        if self._under_way.is_nothing:
            return True
        question = (
            "An answer is still coming. Stop it, and keep what has come?"
            if self._under_way.answer is not None
            else "A summary is being made. Stop it?"
        )
        self._asks_to_go = AskScreen(question)
        may_go = await self.app.push_screen_wait(self._asks_to_go)
        self._asks_to_go = None
        while may_go and not self._under_way.is_nothing:  # it may be another one by now
            self.action_stop()
            await self._under_way.rest()
        return may_go

    def action_model(self) -> None:
        """Another provider, and one of its models; the whole conversation goes along."""
        self._choose(self._choose_model)

    async def _choose_model(self) -> None:
        from vault_sessions.tui.screens.choosing import choose_model

        if self._view is None:
            return
        chosen = await choose_model(self.app, self._view)
        if chosen is not None:
            provider, model = chosen
            told = f"{provider} answers from now on" + (f", with {model}." if model else ".")
            self._change(lambda ws: ws.chat.use_model(provider, model), told)

    def action_search(self, words: str = "") -> None:
        """Look for something, and go to where it stands. (The screen is there at once, for the
        letters that come with the key.)"""
        from vault_sessions.tui.screens.search import Asked, SearchScreen

        asked = Asked(words) if words else self._asked

        def found(done: Searched | None) -> None:
            self._go_to_found(done)

        self.app.push_screen(SearchScreen(asked, self.session_now), found)

    def _go_to_found(self, done: Searched | None) -> None:
        if done is None or self._view is None:
            return
        self._asked, hit = done.asked, done.hit
        if hit is None:
            return
        if hit.kind == "message" and hit.session_id is not None:
            self._switch(hit.session_id, hit.message_id, words_of(done.asked.words))
        else:
            self._choose(lambda: self._remembered(hit.path, hit.line))

    def action_memory(self) -> None:
        """What is remembered."""
        self._choose(self._remembered)

    async def _remembered(self, path: str | None = None, line: int | None = None) -> None:
        from vault_sessions.tui.screens.memory import MemoryScreen

        place = await self.app.push_screen_wait(MemoryScreen(path, line))
        if place is not None and self._view is not None:
            self._switch(place.session_id, place.message_id)

    async def action_help(self) -> None:
        """All keys and commands."""
        from vault_sessions.tui.cards.help import HelpScreen, Section
        from vault_sessions.tui.screens.memory import MemoryScreen
        from vault_sessions.tui.screens.search import SearchScreen
        from vault_sessions.tui.screens.sessions import SessionsScreen

        here = [*self.BINDINGS, *Prompt.BINDINGS, *self.app.BINDINGS]
        sections = [
            Section("The conversation", here),
            Section("All conversations (Ctrl+L)", SessionsScreen.BINDINGS),
            Section("Search (Ctrl+F)", SearchScreen.BINDINGS),
            Section("Memory (Ctrl+K)", MemoryScreen.BINDINGS),
        ]
        await self.app.push_screen(HelpScreen(sections, commands=True))

    def action_skill(self) -> None:
        """Choose a skill, or none."""
        self._choose(self._choose_skill)

    async def _choose_skill(self) -> None:
        from vault_sessions.tui.screens.choosing import choose_skill

        chosen = await choose_skill(self.app, self._view.skill if self._view else None)
        if chosen is not None:
            self._change(lambda ws: ws.chat.use_skill(chosen or None), f"Skill: {chosen or 'none'}")

    # --- keys ---

    def action_stop(self) -> None:
        """Stop the answer that is coming; or leave what was to be said again."""
        self._under_way.stop()
        if self._under_way.answer is not None:
            self.query_one(Questions).refuse_tools()
        elif self.query_one(Prompt).again is not None:
            self.query_one(Prompt).leave_edit()
            self.query_one(Conversation).unmark()
            self.call_later(self.query_one(Conversation).show_newest)
        else:
            self._take_back()

    def interrupt(self) -> None:
        """Ctrl-C: stop the answer."""
        self.action_stop()
        self.query_one(Status).note("Ctrl-C again leaves")

    def leave(self) -> str | None:
        """Stop what is going on; the session to come back to, as far as it is known."""
        self._left = self._under_way.answer
        self._typed = [*self.query_one(Waiting).texts, self.query_one(Prompt).whole]
        self.action_stop()
        return self.back

    @property
    def unsaid(self) -> str:
        """What was typed and not said when it was left; asked once the talker is still."""
        is_lost = self._left is not None and not self._left.is_kept
        texts = [self._left.text, *self._typed] if is_lost and self._left else self._typed
        return "\n\n".join(text for text in texts if text.strip())

    @property
    def back(self) -> str | None:
        """The session to come back to: its name, else its id; None where nothing was stored."""
        if self._begun is None or self._wanted.private:
            return None
        return (self._view.name if self._view is not None else None) or self._begun

    @work(group="change")
    async def action_new(self) -> None:
        """A new conversation; the present one is ended."""
        if self._view is None or not await self._may_go():
            return
        private = self._view.private
        before = self._view.session_id

        def begun(ws: Workspace) -> tuple[View, list[str]]:
            conversation = ws.chat.begin_anew(private=private)
            return look(conversation), told.of_a_new_one(conversation)

        async with self._pace:
            try:
                view, lines = await self.app.talker.do(begun)
            except (VaultSessionsError, OSError) as error:
                await self._fail(error)
                return
            self._reason = "asked for"
            await self._show(view, lines)
        self._complete_ending(None if private else before)

    def _complete_ending(self, session_id: str | None) -> None:
        """Behind the conversation: a session that was followed by another one has its ending."""
        if session_id is not None and self.app.behind is not None:
            self.app.behind.end(session_id)

    def action_copy(self, code: bool = False) -> None:
        """The last answer to the clipboard, or the last block of code in any."""
        answers = (
            [m.text for m in self._view.messages if m.role == "assistant"] if self._view else []
        )
        if code:
            answers = [block for text in answers if (block := commands.last_code(text))]
        if answers:
            self.app.copy_to_clipboard(answers[-1])
        what = "block of code" if code else "answer"
        self.query_one(Status).note("Copied." if answers else f"There is no {what} to copy.")

    async def action_earlier(self) -> None:
        """A page up."""
        await self.query_one(Conversation).page(-1)

    async def action_later(self) -> None:
        """A page down."""
        await self.query_one(Conversation).page(1)

    async def action_newest(self) -> None:
        """To the end of the conversation."""
        await self.query_one(Conversation).show_newest()


def _refreshed(ws: Workspace) -> View | None:
    """The open conversation, if it is another one on disk by now; in the talker's thread."""
    return look(ws.chat.conversation) if ws.chat.refresh() and ws.chat.conversation else None
