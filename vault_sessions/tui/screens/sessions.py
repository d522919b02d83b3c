"""All conversations: switch, begin, rename, delete and undo, filter, search, preview, export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.geometry import Region
from textual.screen import Screen
from textual.widgets import Input, Static

from vault_sessions.errors import VaultSessionsError
from vault_sessions.formats.display import safe, safe_line
from vault_sessions.model import Hit, Session
from vault_sessions.tui.app import ChatApp
from vault_sessions.tui.cards.ask import AskScreen
from vault_sessions.tui.finding import words_of
from vault_sessions.tui.newest import Newest
from vault_sessions.tui.widgets.field import Field
from vault_sessions.tui.widgets.keys import Keys
from vault_sessions.tui.widgets.preview import Preview
from vault_sessions.tui.widgets.session_list import Row, SessionList, rows_by_day
from vault_sessions.tui.widgets.status import Status

if TYPE_CHECKING:
    from vault_sessions.workspace import Workspace

_FIRST = 200
"""So many are shown at once, all others as soon as they are read."""
_HITS, _HITS_EACH = 200, 3
_FAR = 1_000_000_000


class Choice(NamedTuple):
    """What was chosen: a session (and the message to go to, and what was looked for in it), or a
    new one."""

    session_id: str | None
    message_id: str | None = None
    words: tuple[str, ...] = ()


class SessionsScreen(Screen[Choice | None]):
    """Its result is what to go on with; None: what was open before. ``now``: what that is."""

    app: ChatApp
    BINDINGS = [
        Binding("enter", "take", "Open", priority=True, tooltip="go on with it"),
        Binding("enter", "submit", "Save", priority=True, tooltip="save what was typed"),
        Binding("tab", "keys", "List", priority=True, tooltip="from a search to what it found"),
        Binding("n,ctrl+n", "new", "New", tooltip="a new conversation, by the form"),
        Binding("slash", "search", "Search", key_display="/", tooltip="search names and contents"),
        Binding("space", "preview", "Look", key_display="␣", tooltip="preview its end"),
        Binding("r", "rename", "Rename", tooltip="give it another name, in its place"),
        Binding("d", "delete", "Delete", tooltip="move it to the trash"),
        Binding("u", "undo", "Undo", tooltip="bring back what was deleted last"),
        Binding("f", "provider", "Filter", tooltip="only one provider's; again: the next one's"),
        Binding("e", "export", "Export", tooltip="write it to a file: .md, .json or .yaml"),
        Binding("J", "turn(1)", "Scroll", key_display="J/K", tooltip="scroll the preview"),
        Binding("K", "turn(-1)", show=False),
        Binding("escape", "leave", "Back", priority=True, tooltip="back; first out of a search"),
        Binding("q,ctrl+l", "leave", "Back", show=False, tooltip="back; first out of a search"),
        Binding("f1", "help", "Help"),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown", "page(1)", "A page down", show=False),
        Binding("pageup", "page(-1)", "A page up", show=False),
        Binding("home,g", f"move({-_FAR})", "To the newest", show=False),
        Binding("end,G", f"move({_FAR})", "To the oldest", show=False),
    ]

    def __init__(self, now: str | None) -> None:
        super().__init__()
        self.takes_keys = False
        """Are the first of them there?"""
        self._now = now
        self._sessions: list[Session] = []
        self._hits: list[Hit] = []
        self._provider: str | None = None
        self._is_searching = False
        self._change_to: Callable[[str], Callable[[Workspace], str]] | None = None
        self._changed_id = ""
        self._is_stale = False
        self._to_mark = now
        self._loading, self._finding, self._previewing = Newest(), Newest(), Newest()

    def compose(self) -> ComposeResult:
        """The list, the preview beside it, a line to type in, and the keys."""
        with Horizontal(id="top"):
            yield Static(id="title")
            yield Status()
        with Horizontal():
            with Vertical():
                yield Static(id="heads")
                yield SessionList()
            preview = Preview()
            preview.display = False
            yield preview
        yield Field()
        yield Keys()

    def on_mount(self) -> None:
        """Read the list; keys go to it."""
        self.query_one(SessionList).focus()
        self._load()

    def on_session_list_resized(self) -> None:
        """The columns have another width, and the name that is being changed another place."""
        self._draw_heads()
        self._follow()

    def _draw_heads(self) -> None:
        self.query_one("#heads", Static).update(self.query_one(SessionList).headings())

    # --- what there is ---

    def heard(self, kind: str, text: str) -> None:
        """Something changed in the vault."""
        if kind in ("changed", "gone"):
            self._load()

    @work(group="load")
    async def _load(self, stay: str | None = None) -> None:
        self._to_mark = stay or self._to_mark
        await self._loading.do(self._load_now)

    async def _load_now(self) -> None:
        try:
            if not self._sessions:
                self._sessions = await self.app.reader.do(lambda ws: ws.list(limit=_FIRST))
                self._fill(self._stay())
                if len(self._sessions) < _FIRST:
                    return
            self._sessions = await self.app.reader.do(lambda ws: ws.list())
        except (VaultSessionsError, OSError) as error:
            self._say(f"Error: {error}")
            self.takes_keys = True
            return
        if self._change_to is not None:  # the row that is being changed stays in its place
            self._is_stale = True
        else:
            self._fill(self._stay())

    def _stay(self) -> tuple[str, str | None] | None:
        """The row to be marked: the open one and what was brought back, as soon as they are there
        (unless one has moved meanwhile); else the same one."""
        row = self.query_one(SessionList).marked
        if any(session.id == self._to_mark for session in self._sessions):
            here, self._to_mark = self._to_mark, None
            return (here, None) if here else None
        return row.key if row is not None else None

    def _fill(self, stay: tuple[str, str | None] | None = None) -> None:
        typed = self.query_one(Field).value.strip() if self._is_searching else ""
        found = [s for s in self._sessions if self._provider in (None, s.provider)]
        rows = (
            _rows_found(found, self._hits, typed)
            if typed
            else rows_by_day(found, datetime.now(UTC))
        )
        count = sum(row.session is not None and row.snippet is None for row in rows)
        none = "Nothing has that." if typed else "There are none yet: n begins one."
        self.query_one(SessionList).fill(
            rows or [Row(none)], stay=stay, is_open=self._now, words=typed.strip('"*').split()
        )
        about = f" of {safe_line(self._provider)}" if self._provider else ""
        many = "+" if typed and len(self._hits) == _HITS else ""
        self._say(f"{count:,}{many}{' found' if typed else ''}{about}")
        self._draw_heads()
        self.refresh_bindings()
        self.takes_keys = True

    def note_in_passing(self, text: str) -> None:
        """Something to know, which goes by itself."""
        self.query_one(Status).note(text)

    def _say(self, text: str) -> None:
        self.query_one("#title", Static).update(Text(f" Sessions · {safe(text)}", style="bold"))

    # --- keys ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys there are, as one is in the list or types."""
        is_typing = self.is_mounted and self.query_one(Field).has_keys
        if self._change_to is not None:
            return action in ("submit", "leave")
        match action:
            case "submit":
                return False
            case "keys":
                return is_typing
            case "take" | "leave" | "move" | "page" | "help":
                return True
            case "undo":
                return bool(self.app.deleted) and not is_typing
            case "turn":
                return self.is_mounted and self.query_one(Preview).display and not is_typing
            case _:
                return not is_typing

    def on_descendant_focus(self) -> None:
        """Other keys are there."""
        self.refresh_bindings()

    def action_move(self, by: int) -> None:
        """Mark another one."""
        self._to_mark = None
        self.query_one(SessionList).move(by)

    def action_page(self, by: int) -> None:
        """A page up or down."""
        self.action_move(by * max(1, self.query_one(SessionList).size.height - 1))

    def action_take(self) -> None:
        """Go on with the marked one."""
        row = self.query_one(SessionList).marked
        if row is not None and row.session is not None:
            words = words_of(self.query_one(Field).value) if row.message_id is not None else ()
            self.dismiss(Choice(row.session.id, row.message_id, words))

    def on_session_list_taken(self) -> None:
        """A click on the marked one."""
        self.action_take()

    def action_new(self) -> None:
        """Begin another one."""
        self.dismiss(Choice(None))

    def action_help(self) -> None:
        """The keys of this place."""
        from vault_sessions.tui.cards.help import HelpScreen, Section

        self.app.push_screen(HelpScreen([Section("All conversations", self.BINDINGS)]))

    def action_leave(self) -> None:
        """End the typing, then the search; else go back."""
        if self._change_to is not None:
            self._end_change()
        elif self._is_searching:
            self._end_search()
        else:
            self.dismiss(None)

    def action_provider(self) -> None:
        """Only those of the next provider in use; after the last one all again."""
        cycle = [None, *sorted({s.provider for s in self._sessions if s.provider})]
        here = cycle.index(self._provider) if self._provider in cycle else 0
        self._provider = cycle[(here + 1) % len(cycle)]
        self._fill(self._stay())

    # --- searching ---

    def action_search(self) -> None:
        """Look for names and for what was said."""
        text = self.query_one(Field).value if self._is_searching else ""
        self._is_searching = True
        self.query_one(Field).open("names and contents", text)

    def action_keys(self) -> None:
        """From the line to what was found; the keys are for that."""
        self.query_one(SessionList).focus()

    def _end_search(self) -> None:
        stay = self._stay()
        self._is_searching = False
        self._hits = []
        self.query_one(Field).close()
        self.query_one(SessionList).focus()
        self._fill((stay[0], None) if stay else None)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Find as it is typed: names at once, contents as soon as they are found."""
        self.query_one(Field).complain("")
        if self._is_searching and self._change_to is None:
            self._hits = []
            self._fill()
            self._find()

    @work(group="find")
    async def _find(self) -> None:
        await self._finding.do(self._find_now)

    async def _find_now(self) -> None:
        text = self.query_one(Field).value
        if not self._is_searching or not _is_enough(text):
            return
        words = f"{text}*" if text[-1:].isalnum() else text  # the last word may not be whole yet
        try:
            hits = await self.app.reader.do(
                lambda ws: ws.search(words, where="sessions", limit=_HITS)
            )
        except (VaultSessionsError, OSError) as error:
            self.query_one(Field).complain(str(error))
            return
        if self.query_one(Field).value == text:
            self._hits = hits
            self._fill(self._stay())

    # --- what is done to one ---

    def _marked(self) -> Session | None:
        row = self.query_one(SessionList).marked
        return row.session if row is not None else None

    async def _change(self, change: Callable[[Workspace], str], stay: str | None = None) -> str:
        """Do it and say so; what was wrong."""
        try:
            told = await self.app.reader.do(change)
        except (VaultSessionsError, OSError) as error:
            return str(error)
        self.app.tell_quietly(told)
        self._load(stay)
        return ""

    def _type(
        self,
        session: Session,
        prompt: str,
        text: str,
        change: Callable[[str], Callable[[Workspace], str]],
        place: Region | None = None,
    ) -> None:
        """Type what is needed to change one; ``change`` makes the change of it."""
        if self._is_searching:
            self._end_search()
        self._change_to, self._changed_id = change, session.id
        self.query_one(Field).open(prompt, text, place)
        self.refresh_bindings()

    def action_submit(self) -> None:
        """Do what was typed; what is wrong with it is said beneath. What is typed meanwhile is for
        whatever has the keys then."""
        if self._change_to is not None and self.takes_keys:
            self.takes_keys = False
            self._submit(self._change_to(self.query_one(Field).value))

    @work(group="submit")
    async def _submit(self, change: Callable[[Workspace], str]) -> None:
        try:
            fault = await self._change(change, self._changed_id)
            if fault:
                self.query_one(Field).complain(fault)
            else:
                self._end_change()
        finally:
            self.takes_keys = True

    def _end_change(self) -> None:
        self._change_to = None
        self.query_one(Field).close()
        self.query_one(SessionList).focus()
        self.refresh_bindings()
        if self._is_stale:
            self._is_stale = False
            self._fill(self._stay())

    def action_rename(self) -> None:
        """Give it another name."""
        session = self._marked()
        if session is None:
            return

        def change(text: str) -> Callable[[Workspace], str]:
            return lambda ws: f"Renamed to {ws.rename(session.id, text).label}."

        if self._is_searching:
            self._end_search()
        place = self.query_one(SessionList).place
        self._type(session, "its new name", session.name or "", change, place)
        self.call_after_refresh(self._follow)  # the row may be scrolled to only then

    def _follow(self) -> None:
        """Stand over the row that is being changed, wherever it is now."""
        field = self.query_one(Field)
        if self._change_to is not None and field.has_class("over"):
            field.put(self.query_one(SessionList).place)

    def action_export(self) -> None:
        """Write it to a file."""
        session = self._marked()
        if session is None:
            return

        def change(text: str) -> Callable[[Workspace], str]:
            def exported(ws: Workspace) -> str:
                ws.transfer.export(session.id, text.strip())
                return f"Exported to {text.strip()}."

            return exported

        name = f"{_file_name(session)}.md"
        self._type(session, "a file: .md, .json or .yaml", name, change)

    @work(exclusive=True, group="ask")
    async def action_delete(self) -> None:
        """To the trash, after a yes."""
        session = self._marked()
        if session is None:
            return
        if session.id == self._now:
            self.notify(
                "This conversation is open. Begin another one (n), then delete this one.",
                severity="warning",
                markup=False,
            )
            return
        plural = "" if session.message_count == 1 else "s"
        question = f"Move {session.label} ({session.message_count} message{plural}) to the trash?"
        if not await self.app.push_screen_wait(AskScreen(question)):
            return

        def deleted(ws: Workspace) -> str:
            ws.trash.delete([session.id])
            self.app.deleted.append(session.id)
            return f"{session.label} is in the trash; u brings it back."

        await self._change_or_tell(deleted)

    @work(group="undo")
    async def action_undo(self) -> None:
        """Bring back what was deleted last."""
        if not self.app.deleted:
            return
        session_id = self.app.deleted.pop()

        def restored(ws: Workspace) -> str:
            return f"{ws.trash.restore(session_id).label} is back."

        if not await self._change_or_tell(restored, session_id):
            self.app.deleted.append(session_id)

    async def _change_or_tell(
        self, change: Callable[[Workspace], str], stay: str | None = None
    ) -> bool:
        """Do it and say so, or what is wrong. Was it done?"""
        if fault := await self._change(change, stay):
            self.notify(safe(fault), severity="error", markup=False)
        return not fault

    # --- the preview ---

    def action_preview(self) -> None:
        """Show the end of the marked one beside the list, or no longer."""
        preview = self.query_one(Preview)
        preview.display = not preview.display
        self.refresh_bindings()
        self._preview()

    def action_turn(self, by: int) -> None:
        """Scroll the preview."""
        self.query_one(Preview).turn(by)

    def on_session_list_marked(self) -> None:
        """Another one is marked."""
        if self.query_one(Preview).display:
            self._preview()

    @work(group="preview")
    async def _preview(self) -> None:
        await self._previewing.do(self._preview_now)

    async def _preview_now(self) -> None:
        preview = self.query_one(Preview)
        session = self._marked()
        if not preview.display or session is None:
            return
        try:
            shown = await self.app.reader.do(lambda ws: ws.show(session.id))
        except (VaultSessionsError, OSError) as error:
            preview.complain(str(error))
            return
        if self._marked() is session:
            preview.show(shown)


def _is_enough(text: str) -> bool:
    """Are contents to be searched for it? Half of all there is has a word with that letter."""
    words = text.strip()
    return len(words) > 1 or not words.isascii()


def _rows_found(sessions: Sequence[Session], hits: Sequence[Hit], typed: str) -> list[Row]:
    """The sessions whose name or topic has what was typed, and those in which it was said."""
    key = typed.casefold()
    by_id: dict[str, list[Hit]] = {}
    for hit in hits:
        if hit.session_id is not None:
            by_id.setdefault(hit.session_id, []).append(hit)
    rows: list[Row] = []
    for session in sessions:
        said = by_id.get(session.id, ())
        named = key in f"{session.name or ''}\n{session.topic or ''}\n{session.id}".casefold()
        if named or said:
            rows.append(Row(session.label, session))
            rows += [Row("", session, hit.snippet, hit.message_id) for hit in said[:_HITS_EACH]]
    return rows


def _file_name(session: Session) -> str:
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in session.label)
    return kept.strip("-")[:60] or session.id
