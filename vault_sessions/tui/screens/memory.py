"""What is remembered: the picture of the user, facts, summaries, and what was changed when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from vault_sessions.errors import VaultSessionsError
from vault_sessions.formats.display import fit, safe, safe_line
from vault_sessions.formats.memory import read_document, without_comments
from vault_sessions.formats.times import local_time
from vault_sessions.tui.app import ChatApp
from vault_sessions.tui.cards.choose import Choice, ChooseScreen
from vault_sessions.tui.newest import Newest
from vault_sessions.tui.widgets.keys import Keys
from vault_sessions.tui.widgets.passage import PassagePage
from vault_sessions.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from vault_sessions.memory.facts import Why
    from vault_sessions.model import Change
    from vault_sessions.workspace import Workspace

_CHANGES = 500
_NOTHING = "Nothing is known yet."


class Place(NamedTuple):
    """A message: where something that is remembered comes from."""

    session_id: str
    message_id: str | None


class Page(NamedTuple):
    """A page to be read: what it is called, and its file; None: the list of changes."""

    title: str
    path: str | None


class Leaf(NamedTuple):
    """A page as it is: Markdown, the number of its first line in the file, and the session that
    it is about; or the changes, the latest first."""

    text: str = ""
    first_line: int = 1
    session_id: str | None = None
    changes: tuple[Change, ...] = ()


class MemoryScreen(Screen[Place | None]):
    """Pages at the left, the marked one at the right. Its result is a message to go to.

    ``path`` and ``line``: the page to begin with, and what of it to show.
    """

    app: ChatApp
    COMPONENT_CLASSES = {"memory--old", "memory--new"}
    BINDINGS = [
        Binding("o,e", "edit", "Open in $EDITOR", key_display="o"),
        Binding("slash", "search", "Search", key_display="/"),
        Binding("w,enter", "source", "Where from", key_display="w"),
        Binding("u", "undo", "Undo"),
        Binding("space", "page(1)", "Scroll", key_display="space"),
        Binding("escape,q,ctrl+k", "leave", "Back", key_display="esc"),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup,b", "page(-1)", show=False),
        Binding("home,g", "move(-100000000)", show=False),
        Binding("end,G", "move(100000000)", show=False),
    ]

    def __init__(self, path: str | None = None, line: int | None = None) -> None:
        super().__init__()
        self._pages: list[Page] = []
        self._wanted = (path, line) if path is not None else None
        self._shown: Page | None = None
        self._leaf = Leaf()
        self._newest = Newest()

    def compose(self) -> ComposeResult:
        """The pages, and the one that is read."""
        yield Static(Text(" Memory", "bold"), id="about")
        with Horizontal():
            yield Rows[Page](_line)
            with VerticalScroll(id="page", can_focus=False):
                yield Static(id="changes")
        yield Keys()

    def on_mount(self) -> None:
        """Read what there is."""
        self.query_one(Rows).focus()
        self._load()

    def heard(self, kind: str, text: str) -> None:
        """Memory has changed on disk."""
        if kind == "memory":
            self._load()

    # --- reading ---

    @work(exclusive=True, group="load")
    async def _load(self) -> None:
        try:
            self._pages = await self.app.reader.do(_pages)
        except (VaultSessionsError, OSError) as error:
            self._complain(error)
            return
        marked: Page | None = self.query_one(Rows).marked  # perhaps it is not shown yet
        path = self._wanted[0] if self._wanted else marked.path if marked else ""
        at = next((i for i, page in enumerate(self._pages) if page.path == path), None)
        if at is None and self._wanted is not None:  # a note of the owner's own
            self._pages.append(Page(_summary_title(self._wanted[0]), self._wanted[0]))
            at = len(self._pages) - 1
        self.query_one(Rows).fill(self._pages, at or 0)

    def _complain(self, error: Exception) -> None:
        self.notify(str(error), severity="error", markup=False)

    def on_rows_marked(self) -> None:
        """Read the marked one."""
        self._read()

    @work(group="read")
    async def _read(self) -> None:
        await self._newest.do(self._read_marked)

    async def _read_marked(self) -> None:
        page: Page | None = self.query_one(Rows).marked
        if page is None:
            return
        try:
            leaf = await self.app.reader.do(lambda ws: _leaf(ws, page))
        except (VaultSessionsError, OSError) as error:
            leaf = Leaf(f"It can't be read: {error}")
        if self.is_attached:
            await self._show(page, leaf)

    async def _show(self, page: Page, leaf: Leaf) -> None:
        """Show a page from its beginning; the one that is shown already, where it was."""
        is_other = self._shown is None or page.path != self._shown.path
        before, self._shown, self._leaf = self._leaf, page, leaf
        title = Text.assemble((" Memory", "bold"), f" · {safe_line(page.path or page.title)}")
        self.query_one("#about", Static).update(title)
        changes = self.query_one("#changes", Static)
        changes.display = page.path is None
        wanted = self._wanted_line(page, leaf)
        if page.path is None:
            changes.update(self._log(leaf.changes))
            await self.query(PassagePage).remove()
        elif is_other or wanted or leaf.text != before.text:
            await self._put(PassagePage(leaf.text, wanted))
        if wanted:
            self.call_after_refresh(self._go_to_passage)
        elif is_other:
            self.query_one("#page").scroll_home(animate=False)

    async def _put(self, page: PassagePage) -> None:
        """Show it in the place of the one before; what is seen of a page that is the same stays."""
        before = list(self.query(PassagePage))
        with self.app.batch_update():
            await self.query_one("#page").mount(page, before=0)
            for old in before:
                await old.remove()

    def _wanted_line(self, page: Page, leaf: Leaf) -> str:
        """What of the page is to be shown, as was asked for when the screen was opened."""
        if self._wanted is None or self._wanted[0] != page.path:
            return ""
        line, self._wanted = self._wanted[1], None
        lines = leaf.text.split("\n")
        at = (line or 0) - leaf.first_line
        return lines[at] if line is not None and 0 <= at < len(lines) else ""

    def _go_to_passage(self) -> None:
        page = self.query_one("#page", VerticalScroll)
        if place := self.query_one(PassagePage).place:
            middle = (page.size.height - len(place)) // 2
            page.scroll_to(y=max(0, place.start - middle), animate=False)

    # --- keys ---

    def action_move(self, by: int) -> None:
        """Mark another page."""
        self.query_one(Rows).move(by)

    def action_page(self, by: int) -> None:
        """Scroll the page that is read."""
        page = self.query_one("#page", VerticalScroll)
        page.scroll_relative(y=by * max(1, page.size.height - 2), animate=False)

    @work(exclusive=True, group="change")
    async def action_edit(self) -> None:
        """Open the marked page's file in the owner's editor."""
        page: Page | None = self.query_one(Rows).marked
        if page is None or page.path is None:
            self.notify("That is a list of changes, not a file. u takes one back.")
            return
        path = page.path
        self.app.edit(await self.app.reader.do(lambda ws: ws.vault.absolute(path)))
        try:
            await self.app.reader.do(lambda ws: ws.sync())
        except (VaultSessionsError, OSError) as error:
            self._complain(error)
        self._load()

    @work(exclusive=True, group="change")
    async def action_undo(self) -> None:
        """Take back a change that was made to memory, the latest or an earlier one."""
        try:
            changes = await self.app.reader.do(lambda ws: ws.memory.log())
        except (VaultSessionsError, OSError) as error:
            self._complain(error)
            return
        undone = {change.undoes for change in changes}
        left = [c for c in reversed(changes) if c.id not in undone and c.undoes is None]
        if not left:
            self.notify("There is no change of memory to take back.")
            return
        chosen = await self.app.push_screen_wait(
            ChooseScreen("Take back which change?", [_choice(change) for change in left])
        )
        if chosen is None:
            return
        try:
            change = await self.app.reader.do(lambda ws: ws.memory.undo(chosen))
        except (VaultSessionsError, OSError) as error:
            self._complain(error)
            return
        self.notify(f"Taken back: {_what(change)}", markup=False)
        self._load()

    @work(exclusive=True, group="change")
    async def action_search(self) -> None:
        """Look for something in memory."""
        from vault_sessions.tui.screens.search import MEMORY, Asked, SearchScreen

        done = await self.app.push_screen_wait(SearchScreen(Asked(where=MEMORY)))
        if done is None or done.hit is None:
            return
        hit = done.hit
        if hit.kind == "message" and hit.session_id is not None:
            self.dismiss(Place(hit.session_id, hit.message_id))
            return
        self._wanted, self._shown = (hit.path, hit.line), None
        self._load()

    @work(exclusive=True, group="change")
    async def action_source(self) -> None:
        """Go to where it comes from: a summary's conversation, the message of a fact."""
        if self._leaf.session_id is not None:
            self.dismiss(Place(self._leaf.session_id, None))
            return
        texts = _entries(self._leaf)
        if not texts:
            self.notify("There is nothing here that comes from a conversation.")
            return
        choices = [Choice(text, safe_line(text)) for text in texts]
        chosen = await self.app.push_screen_wait(ChooseScreen("Where does it come from?", choices))
        if chosen is None:
            return
        try:
            why = await self.app.reader.do(lambda ws: ws.memory.why(chosen))
        except (VaultSessionsError, OSError) as error:
            self._complain(error)
            return
        if why.message is not None and why.session_id is not None:
            self.dismiss(Place(why.session_id, why.message_id))
        else:
            self.notify(_no_source(why), markup=False)

    def action_leave(self) -> None:
        """Back to where one was."""
        self.dismiss(None)

    # --- drawing ---

    def _log(self, changes: tuple[Change, ...]) -> Text:
        """The changes, the latest first: when, where, what went, what came."""
        old = self.get_component_rich_style("memory--old", partial=True)
        new = self.get_component_rich_style("memory--new", partial=True)
        undone = {change.undoes for change in changes}
        text = Text()
        for change in changes[:_CHANGES]:
            text.append(f"{local_time(change.at)[:16]}  ", "dim")
            text.append(safe_line(f"{change.file} › {change.section or ''}".rstrip(" ›")), "bold")
            text.append(f"  {safe_line(change.by)}", "dim")
            text.append(" · undo" if change.undoes else "", "dim")
            text.append(" · undone since\n" if change.id in undone else "\n", "dim")
            if change.old is not None:
                text.append(f"  − {safe_line(change.old)}\n", old)
            if change.new is not None:
                text.append(f"  + {safe_line(change.new)}\n", new)
            text.append("\n")
        if len(changes) > _CHANGES:
            more = len(changes) - _CHANGES
            text.append(f"… and {more} earlier: vault-sessions memory log\n", "dim")
        return text if changes else Text("Nothing was changed yet.")


def _line(page: Page, width: int) -> list[Text]:
    return [Text(safe_line(page.title), no_wrap=True)]


def _pages(ws: Workspace) -> list[Page]:
    """What there is to read, in the reader's thread."""
    return [
        Page("About you", ws.memory.file("user")[0]),
        Page("Facts", ws.memory.file("facts")[0]),
        Page("Changes", None),
        *(Page(_summary_title(path), path) for path in ws.memory.summary_paths()),
    ]


def _summary_title(path: str) -> str:
    """The day and the words in a summary's name."""
    stem = path.rpartition("/")[2].removeprefix("session-").removesuffix(".md")
    day, words = stem[:10], stem[11:].replace("-", " ")
    return f"{day}  {words}" if words else stem


def _leaf(ws: Workspace, page: Page) -> Leaf:
    """A page as it is now, in the reader's thread."""
    if page.path is None:
        return Leaf(changes=tuple(reversed(ws.memory.log())))
    document = read_document(ws.memory.text(page.path).encode("utf-8", "surrogatepass"))
    session_id = document.front.get("session_id")
    known = session_id if isinstance(session_id, str) else None
    return Leaf(_readable(document.body) or _NOTHING, document.body_line, known)


def _readable(text: str) -> str:
    """Without comments, and every line still where it was."""
    return safe("\n".join(without_comments(line) for line in text.split("\n")))


def _entries(leaf: Leaf) -> list[str]:
    """What of a page may be asked about, as it stands in the file or in the log."""
    from vault_sessions.formats.bullets import read_bullets
    from vault_sessions.formats.changes import one_line

    if leaf.changes:
        said = [text for change in leaf.changes for text in (change.new, change.old) if text]
        return list(dict.fromkeys(one_line(text) for text in said))
    bullets = read_bullets(leaf.text.encode("utf-8", "replace"))
    return [one_line(bullet.text) for bullet in bullets if leaf.text != _NOTHING]


def _no_source(why: Why) -> str:
    if why.state == "deleted":
        return f"The message it came from (session {why.session_id}) was deleted since."
    if why.changes:
        return "No message is named for it."
    return "Written by you: no change of ours made it."


def _what(change: Change, most: int = 200) -> str:
    """A change in one line."""
    old, new = (fit(safe_line(text or ""), most) for text in (change.old, change.new))
    if change.old is None:
        return f"+ {new}"
    return f"− {old}" if change.new is None else f"{old} → {new}"


def _choice(change: Change) -> Choice:
    return Choice(change.id, _what(change, 40), f"{local_time(change.at)[:16]} {change.file}")
