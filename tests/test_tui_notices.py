"""What the chat says of itself: on opening, of the open file, of what is done behind it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from home import Home, message, write_session
from openai_server import OpenAIServer
from tui import Ui, configure, lived_in, run, use_server

from vault_sessions import Workspace
from vault_sessions.background import Background
from vault_sessions.tui import Wanted
from vault_sessions.tui.app import ChatApp
from vault_sessions.tui.screens.chat import ChatScreen

NAME = "20260101-000000-aaaaaa"


def shed(home: Home, *more: bytes, **meta: Any) -> Path:
    """A session of now."""
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return write_session(
        home,
        NAME,
        message("What is in the shed?", id="1", created_at=at),
        message("A ladder.", "assistant", id="2", created_at=at),
        *more,
        name="shed",
        **meta,
    )


def test_a_new_conversation_says_who_answers(home: Home) -> None:
    """Where nobody was chosen: that only the vault is looked up, and which key could be used."""

    async def script(ui: Ui) -> None:
        await ui.shows("A new conversation. F1 lists what you can do.", "No model is set up")
        await ui.shows("OPENAI_API_KEY is set: chat -p openai would use it")

    run(home, script, OPENAI_API_KEY="x")


def test_what_went_to_the_trash_is_said(home: Home) -> None:
    """``max_sessions`` is kept to when a chat begins, and how to bring them back is said."""
    configure(home, ai={"sessions": {"max_sessions": 1}})
    for number, age in enumerate((200, 100)):
        at = f"{datetime.now(UTC) - timedelta(days=age):%Y-%m-%dT%H:%M:%SZ}"
        ended = {"ended_at": at, "end_reason": "new", "name": f"old{number}"}
        write_session(
            home, f"2026010{number + 1}-000000-aaaaaa", message("x", created_at=at), **ended
        )

    async def script(ui: Ui) -> None:
        await ui.shows("old0 went to the trash (ai.sessions.max_sessions); back:")

    run(home, script, size=(120, 30))


def test_a_file_edited_meanwhile_is_shown_anew(home: Home) -> None:
    """The message as it stands there now, and a banner that says so until the next one is said."""
    path = shed(home)

    async def script(ui: Ui) -> None:
        await ui.shows("A ladder.", 'Resumed "shed"')
        path.write_bytes(path.read_bytes().replace(b"A ladder.", b"Two ladders."))
        await ui.shows("Two ladders.", "1 message changed on disk.")
        await ui.type("Thanks")
        await ui.press("enter")
        await ui.shows("4 messages")
        await ui.hides("changed on disk")

    run(home, script, Wanted(session="shed"))


def test_a_file_that_changes_while_it_is_looked_at_is_shown_anew(home: Home) -> None:
    """Several changes in a row are looked at once or twice, and what was found is shown."""
    path = shed(home)

    async def script(ui: Ui) -> None:
        await ui.shows("A ladder.", 'Resumed "shed"')
        screen = ui.app.screen
        assert isinstance(screen, ChatScreen)
        async with ui.busy(ui.app.talker):
            path.write_bytes(path.read_bytes().replace(b"A ladder.", b"Two ladders."))
            for _ in range(3):
                screen.heard("changed", "shed")
                await ui.pilot.pause()
        await ui.shows("Two ladders.", "1 message changed on disk.")

    run(home, script, Wanted(session="shed"))


def test_what_changed_before_anybody_listened_is_shown(home: Home) -> None:
    """Another program watched the vault, and saw to it."""
    path = shed(home)

    with lived_in(home, {}), Workspace.open(home.vault) as workspace:
        watching = workspace.live()

        async def script(ui: Ui) -> None:
            await ui.shows("A ladder.", 'Resumed "shed"')
            path.write_bytes(path.read_bytes().replace(b"A ladder.", b"Two ladders."))
            workspace.sync()
            watching.stop()
            await ui.shows("Two ladders.", "1 message changed on disk.")

        assert watching.take()
        try:
            run(home, script, Wanted(session="shed"))
        finally:
            watching.stop()


def test_what_is_wrong_in_the_open_file_is_named(home: Home) -> None:
    """File, line and what to do, as long as it is so."""
    path = shed(home, b"{half a message\n")

    async def script(ui: Ui) -> None:
        await ui.shows(f"{NAME}.jsonl:3: ", "doctor --fix")
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:2]))
        await ui.hides("doctor --fix")
        assert "What is in the shed?" in ui.text

    run(home, script, Wanted(session="shed"), size=(120, 30))


def test_a_name_given_elsewhere_is_in_the_header(home: Home) -> None:
    """As soon as another program has written it."""
    path = shed(home)

    async def script(ui: Ui) -> None:
        await ui.shows("A ladder.")
        path.with_suffix(".meta.json").write_text('{"name": "tool house"}')
        await ui.until(lambda: "tool house" in ui.lines[0])

    run(home, script, Wanted(session="shed"))


def test_commands(home: Home) -> None:
    """/why, /title, /export, /compact and /copy, each with what it says."""
    shed(home)
    file = home.folder / "shed.md"

    async def script(ui: Ui) -> None:
        async def command(text: str) -> None:
            await ui.type(text)
            await ui.until(lambda: text.split()[0] in ui.text)
            await ui.press("enter")

        await ui.shows("A ladder.")
        await command("/why")
        await ui.shows("it was asked for by name")
        await command("/title Tools and paint")
        await ui.shows("Topic: Tools and paint")
        await command(f"/export {file}")
        await ui.until(file.exists)
        await ui.shows("Exported to")
        await command("/compact")
        await ui.shows("Nothing was summarized")
        await command("/copy ")
        await ui.shows("Copied.")
        assert ui.app.clipboard == "A ladder."
        await command("/nonsense")
        await ui.shows("There is no command /nonsense")

    run(home, script, Wanted(session="shed"), size=(100, 40))
    assert "A ladder." in file.read_text()
    assert home.json("show", "shed")["topic"] == "Tools and paint"


def test_what_keeps_it_from_beginning_ends_it(home: Home) -> None:
    """There is nothing to see; who ran it is told why."""
    seen: list[ChatApp] = []

    async def script(ui: Ui) -> None:
        seen.append(ui.app)
        await ui.until(lambda: ui.app.failure is not None)

    assert run(home, script, Wanted(provider="nobody")) is None
    assert "There is no provider 'nobody'" in str(seen[0].failure)


def test_topics_come_from_behind(home: Home, server: OpenAIServer) -> None:
    """After the second exchange, while nothing is waited for, and the header has it."""
    use_server(home, server.base_url)
    for answer in ("Mix.", "Wait."):
        server.reply(answer)
    server.reply(json.dumps({"topic": "Bread with caraway"}))
    made: list[Background] = []

    async def script(ui: Ui) -> None:
        with_topics = Background(Workspace.open(home.vault).another)
        ui.app.behind = with_topics
        made.append(with_topics)
        await ui.shows("local")
        for text, answer in (("How do I bake bread?", "Mix."), ("And then?", "Wait.")):
            await ui.type(text)
            await ui.press("enter")
            await ui.shows(answer)
            await ui.until(lambda: "Esc stops it" not in ui.text)
        await ui.until(lambda: "Bread with caraway" in ui.lines[0])

    run(home, script)
    assert made[0].finish()
