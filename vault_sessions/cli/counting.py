"""``stats``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import click

from vault_sessions.cli.door import (
    Door,
    json_option,
    now,
    on_terminal,
    pass_door,
    print_json,
    say,
)
from vault_sessions.formats.display import fit, safe_line, width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from vault_sessions.rules.stats import Count, Length, Stats

RECENT = 12
"""So many weeks and months are drawn; ``--json`` has all."""
_LONGEST_BAR = 40
_SHORTEST_BAR = 5
_LEAST = 10
"""A text is cut to so many columns before a column is left out."""
_GAP = 2
_MARGIN = 4
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_SHADES = "·░▒▓█"
_PLAIN_SHADES = ".-+*#"


@click.command("stats")
@json_option
@pass_door
def stats_command(door: Door, as_json: bool) -> None:
    """Numbers and pictures: sessions, messages and tokens, by model, week, month and day.

    Messages are those of the active branch; tokens are all that were used, as the servers reported
    them. Days, weeks (from Monday) and months are local ones. A session is as long as from its
    start to its last activity.

    --json: sessions, messages, tokens_in, tokens_out; roles {user, assistant, tool, system}; and,
    each with those four numbers, by_model [{provider, model}], by_week [{week}, a Monday],
    by_month [{month}]; by_day {day: messages}; longest and most_active [{id, name, topic,
    messages, seconds}].
    """
    stats = door.workspace.stats()
    if as_json:
        from vault_sessions.rules.stats import as_json as document

        print_json(document(stats))
    elif not on_terminal():
        _print_plain(stats, _today())
    elif stats.total.messages:
        _draw(stats, _today())
    else:
        say("Nothing was said yet. Begin: vault-sessions chat")


def _today() -> date:
    return now().astimezone().date()


class _Section(NamedTuple):
    """A title over a table. The first ``texts`` columns are texts, the others numbers; ``bars``:
    what each row's bar shows, where it has one."""

    title: str
    heads: list[str]
    texts: int
    rows: list[list[str]]
    bars: list[int]


def _sections(stats: Stats, today: date, number: str) -> Iterator[_Section]:
    """All tables; ``number`` is the format of a number."""
    from vault_sessions.rules.stats import recent_months, recent_weeks

    tokens = bool(stats.total.tokens_in or stats.total.tokens_out)
    models = [(safe_line(f"{one} · {two}"), counted) for one, two, counted in stats.by_model]
    yield _counted("By model", "Model", models, number, tokens, bars_of_tokens=tokens)
    weeks = [(str(monday), counted) for monday, counted in recent_weeks(stats, today, RECENT)]
    yield _counted("By week", "From", _begun(weeks), number, tokens)
    months = recent_months(stats, today, RECENT)
    yield _counted("By month", "Month", _begun(months), number, tokens)
    for title, lengths in (
        ("Longest sessions", stats.longest),
        ("Most active sessions", stats.most_active),
    ):
        rows = [_length(length, number) for length in lengths]
        yield _Section(title, ["Session", "Topic", "Time", "Messages"], 2, rows, [])


def _counted(
    title: str,
    head: str,
    counts: Sequence[tuple[str, Count]],
    number: str,
    tokens: bool,
    *,
    bars_of_tokens: bool = False,
) -> _Section:
    heads = [head, "Messages", "Sessions"]
    rows = [
        [label, format(counted.messages, number), format(counted.sessions, number)]
        for label, counted in counts
    ]
    if tokens:
        heads[2:2] = ["Tokens in", "Tokens out"]
        for row, (_, counted) in zip(rows, counts, strict=True):
            row[2:2] = [format(counted.tokens_in, number), format(counted.tokens_out, number)]
    bars = [
        counted.tokens_in + counted.tokens_out if bars_of_tokens else counted.messages
        for _, counted in counts
    ]
    return _Section(title, heads, 1, rows, bars)


def _begun(counts: Sequence[tuple[str, Count]]) -> Sequence[tuple[str, Count]]:
    """Without the empty ones at the beginning."""
    first = next((n for n, (_, counted) in enumerate(counts) if any(counted)), len(counts))
    return counts[first:]


def _length(length: Length, number: str) -> list[str]:
    who = safe_line(length.name or length.session_id)
    return [
        who,
        safe_line(length.topic or ""),
        _span(length.seconds),
        f"{length.messages:{number}}",
    ]


def _span(seconds: int) -> str:
    """``3 d 4 h``, ``2 h 5 min``, ``40 s``."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def _totals(stats: Stats, number: str) -> list[tuple[str, str]]:
    total = stats.total
    parts = [("sessions", total.sessions), ("messages", total.messages)]
    if total.tokens_in or total.tokens_out:
        parts += [("tokens in", total.tokens_in), ("tokens out", total.tokens_out)]
    return [(what, format(count, number)) for what, count in parts]


# --- plain ---------------------------------------------------------------------------------------


def _print_plain(stats: Stats, today: date) -> None:
    """The tables alone: whole texts, numbers without commas, no bars."""
    for what, count in _totals(stats, "d"):
        say(f"{what}  {count}")
    for section in _sections(stats, today, "d"):
        if section.rows:
            say(f"\n{section.title}")
            widths = _widths(section)
            for row in [section.heads, *section.rows]:
                say(_row(row, list(range(len(row))), widths, section.texts))


# --- drawn ---------------------------------------------------------------------------------------


def _draw(stats: Stats, today: date) -> None:
    from rich.console import Console
    from rich.text import Text

    plain = bool(os.environ.get("NO_COLOR"))
    console = Console(color_system=None, highlight=False) if plain else Console(highlight=False)
    said = " · ".join(f"{count} {what}" for what, count in _totals(stats, ","))
    console.print(Text(said, style="bold"))
    _draw_calendar(console, stats, today)
    for section in _sections(stats, today, ","):
        if section.rows:
            _print_lines(console, section.title, _table(section, console))


def _print_lines(console: Console, title: str, lines: Sequence[Text]) -> None:
    from rich.text import Text

    console.print()
    for line in (Text(title, style="bold"), *lines):
        console.print(line, no_wrap=True, overflow="ellipsis")


def _table(section: _Section, console: Console) -> list[Text]:
    """A table's lines, none wider than the terminal, with bars where there is room for them."""
    from rich.text import Text

    room = console.width
    widths = _widths(section)
    shown = list(range(len(section.heads)))
    # the topic goes first, then the numbers from the right; one number always stays
    leaving = [*range(section.texts - 1, 0, -1), *range(len(shown) - 1, section.texts, -1)]
    for column in leaving:
        least = [min(widths[i], _LEAST) if i < section.texts else widths[i] for i in shown]
        if sum(least) + _GAP * (len(shown) - 1) <= room:
            break
        shown.remove(column)
    too_much = sum(widths[i] for i in shown) + _GAP * (len(shown) - 1) - room
    for column in [i for i in reversed(shown) if i < section.texts]:
        if too_much > 0:
            least_wide = 1 if column == 0 else min(widths[column], _LEAST)
            cut = min(too_much, widths[column] - least_wide)
            widths[column] -= cut
            too_much -= cut
    longest = min(-too_much - _GAP, _LONGEST_BAR)
    lines = [Text(_row(section.heads, shown, widths, section.texts), style="dim")]
    for n, row in enumerate(section.rows):
        line = Text(_row(row, shown, widths, section.texts))
        if section.bars and longest >= _SHORTEST_BAR:
            line.append(" " * _GAP)
            line.append(_bar(section.bars[n], max(section.bars), longest, console), style="green")
        lines.append(line)
    return lines


def _widths(section: _Section) -> list[int]:
    return [
        max(width(row[i]) for row in [section.heads, *section.rows])
        for i in range(len(section.heads))
    ]


def _row(row: Sequence[str], shown: Sequence[int], widths: Sequence[int], texts: int) -> str:
    cells = []
    for i in shown:
        cell = fit(row[i], widths[i])
        space = " " * (widths[i] - width(cell))
        cells.append(cell + space if i < texts else space + cell)
    return (" " * _GAP).join(cells).rstrip()


def _bar(value: int, most: int, longest: int, console: Console) -> str:
    from vault_sessions.rules.stats import bar

    drawn = bar(value, most, longest)
    return "#" * len(drawn) if console.options.ascii_only else drawn


def _draw_calendar(console: Console, stats: Stats, today: date) -> None:
    """A square a day, seven rows of weeks; as many weeks of the last year as fit."""
    from rich.text import Text

    from vault_sessions.rules.stats import calendar

    cell = 2 if console.width >= _MARGIN + 2 * 53 else 1
    weeks = min(53, (console.width - _MARGIN) // cell)
    drawn = calendar(stats.days, today, max(weeks, 1))
    if weeks < 1 or not any(level for row in drawn.rows for level in row):
        return
    shades = _PLAIN_SHADES if console.options.ascii_only else _SHADES
    styles = ("dim", "color(22)", "color(28)", "color(34)", "color(46)")
    lines = [Text(_months(drawn.months, weeks, cell), style="dim")]
    for name, row in zip(("Mon", "", "Wed", "", "Fri", "", "Sun"), drawn.rows, strict=True):
        line = Text(f"{name:{_MARGIN}}", style="dim")
        for level in row:
            if level is not None:
                square = shades[level] * cell if level else shades[0].ljust(cell)
                line.append(square, styles[level])
        lines.append(line)
    legend = Text(" " * _MARGIN)
    for level, step in enumerate(drawn.steps, 1):
        legend.append(shades[level], styles[level])
        legend.append(f" {step:,}+  ", "dim")
    legend.rstrip()
    lines.append(legend)
    _print_lines(console, "Messages a day", lines)


def _months(begin: Sequence[tuple[int, int]], weeks: int, cell: int) -> str:
    """The names of months above the columns in which they begin, where there is room."""
    line = [" "] * (_MARGIN + weeks * cell)
    free = 0
    for column, month in begin:
        at = _MARGIN + column * cell
        if free <= at <= len(line) - 3:
            line[at : at + 3] = _MONTHS[month - 1]
            free = at + 4
    return "".join(line).rstrip()
