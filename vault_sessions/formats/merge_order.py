"""Three versions of a list become one: what stays, and in which order. See docs/format.md, Merging.

Nothing here knows what a line says. The order is that of a forest. Its roots are the *fixed
points*: what the base has of all that stays. On each hang the lines that were added behind it. A
line hangs on the nearest line before it, on its side, that outranks it, and lines that hang on the
same one are sorted by rank, lowest first. Written out from its roots, the forest of one version is
that version again, whatever the ranks: behind a line stands first what it outranks, then what
outranks it. So merging two versions is uniting two sets of hooks, which can't depend on who merges
first; and since neither the roots nor the ranks change, merging again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

Line = tuple[bytes, int]
"""A line's text, and how many equal ones stand before it in its version."""

Rank = Callable[[Any], Any]
"""What a key is sorted by: different for any two keys, and the same on every machine."""

Spelling = Callable[[Any], Any]
"""What a key is in bytes, for the choice between two orders: different for any two keys."""

Value = TypeVar("Value")
Key = TypeVar("Key", bound=Hashable)


def three_way(
    base: Value, ours: Value, theirs: Value, both: Callable[[Value, Value], Value]
) -> Value:
    """The value of the side that changed it; where each did, in its own way, ``both`` decides.

    Is that the greater (or the smaller) of two, so is this associative and can be repeated.
    """
    if ours in (theirs, base):
        return theirs
    return ours if theirs == base else both(ours, theirs)


# --- lines ---------------------------------------------------------------------------------------


def itself(line: Line) -> Line:
    """A line's spelling."""
    return line


def numbered(texts: Iterable[bytes]) -> list[Line]:
    """The lines, equal ones told apart."""
    texts = list(texts)
    if len(set(texts)) == len(texts):
        return [(text, 0) for text in texts]
    seen: dict[bytes, int] = {}
    lines = []
    for text in texts:
        count = seen.get(text, 0)
        seen[text] = count + 1
        lines.append((text, count))
    return lines


def shared(ours: Sequence[Key], theirs: Sequence[Key], spell: Spelling) -> list[Key]:
    """What stands on both sides, for want of a base; of its two orders the smaller by bytes."""
    both = set(ours) & set(theirs)
    one, other = ([key for key in side if key in both] for side in (ours, theirs))
    return one if one == other else min(one, other, key=lambda keys: [spell(key) for key in keys])


def kept_lines(base: Iterable[Line], ours: Iterable[Line], theirs: Iterable[Line]) -> set[Line]:
    """The lines that stay: those on either side, but for the ones that a side has taken out.

    Of equal lines there are as many as on the side that has more, if it has more than the base;
    else as many as on the side that has fewer.
    """
    had, one, other = set(base), set(ours), set(theirs)
    kept = (one & other) | ((one ^ other) - had)
    # {x} became {} here and {x, x} there: the second x stays, so there must be a first
    most: dict[bytes, int] = {}
    for text, count in kept:
        if count > most.get(text, 0):
            most[text] = count
    kept.update((text, count) for text, last in most.items() for count in range(last))
    return kept


def merged_lines(
    base: list[Line],
    ours: list[Line],
    theirs: list[Line],
    units: Mapping[bytes, Hashable],
    rank: Rank,
    are_guessed: bool = False,
) -> list[bytes]:
    """The texts of the lines that stay, in their order.

    ``units`` tells which texts are forms of one thing (a message and its edited forms). They stand
    together, in its one place, if they do so in each version; else each is a line like any other.
    ``are_guessed``: from these versions, by what stands in the place of what is gone.

    Where lines can't be told apart for certain, a side that has all that stays is the outcome as it
    is: it does not matter whether the other side, which has nothing to add, has another order.
    """
    start = _common_start(base, ours, theirs, units)
    head = [text for text, _ in base[:start]]
    if start:  # what all have is left alone: a long transcript has little behind it
        base, ours, theirs = (numbered(t for t, _ in side[start:]) for side in (base, ours, theirs))
    kept = kept_lines(base, ours, theirs)
    complete = [side for side in (ours, theirs) if len(side) == len(kept) and kept == set(side)]
    is_guess = are_guessed and not (kept >= set(base) or kept <= set(base))
    if complete and (is_guess or _has_copies(head, base, kept, units)):
        return head + [text for text, _ in min(complete)]
    return head + _arranged([base, ours, theirs], kept, units, rank)


def _common_start(
    base: list[Line], ours: list[Line], theirs: list[Line], units: Mapping[bytes, Hashable]
) -> int:
    """How many lines all begin with, down to where no unit has lines on both sides of the cut."""
    end = 0
    for line, one, other in zip(base, ours, theirs, strict=False):
        if not line == one == other:
            break
        end += 1
    first: dict[Hashable, int] = {}
    for place in range(end):
        if (unit := units.get(base[place][0])) is not None:
            first.setdefault(unit, place)
    behind = (units.get(text) for side in (base, ours, theirs) for text, _ in side[end:])
    start = min((first[unit] for unit in behind if unit in first), default=end)
    while end > start:
        end -= 1
        start = min(start, first.get(units.get(base[end][0]), start))
    return start


def _has_copies(
    head: Iterable[bytes], base: Iterable[Line], kept: set[Line], units: Mapping[bytes, Hashable]
) -> bool:
    """Are equal lines added, or does a unit keep several?

    Then one merge takes for the first copy what was the second for the one before.
    """
    if any(count for _, count in kept.difference(base)):
        return True
    staying = [unit for text in head if (unit := units.get(text)) is not None]
    staying.extend(unit for text, _ in kept if (unit := units.get(text)) is not None)
    return len(set(staying)) < len(staying)


def _arranged(
    versions: list[list[Line]], kept: set[Line], units: Mapping[bytes, Hashable], rank: Rank
) -> list[bytes]:
    """The texts of the kept lines in their order."""
    if units:
        return _arranged_units(versions, kept, units, rank)
    base, ours, theirs = versions
    return [text for text, _ in merged_order(base, ours, theirs, kept, rank, spell=itself)]


def _arranged_units(
    versions: list[list[Line]], kept: set[Line], units: Mapping[bytes, Hashable], rank: Rank
) -> list[bytes]:
    """The same, where several lines are one thing."""
    staying = {units[text] for text, _ in kept if text in units}
    versions = [_staying(version, kept, units, staying) for version in versions]
    loose = set().union(*(_scattered(version, units) for version in versions))
    whole = {text: unit for text, unit in units.items() if unit not in loose} if loose else units
    known: set[Hashable] = {whole.get(line[0], line) for line in kept}
    forms = _by_unit(kept, whole)

    def unit_rank(key: Hashable) -> Any:
        return max(map(rank, forms[key])) if key in forms else rank(key)

    def spell(key: Any) -> Line:
        return max(forms[key]) if key in forms else key

    base, ours, theirs = (_keys(version, whole, known) for version in versions)
    inside = [_by_unit((line for line in version if line in kept), whole) for version in versions]
    lines: list[Line] = []
    for key in merged_order(base, ours, theirs, known, unit_rank, spell):
        if key not in forms:
            lines.append(key)  # type: ignore[arg-type]  # what is no unit is a line
        elif len(forms[key]) == 1:
            lines.append(forms[key][0])
        else:
            had, one, other = (found.get(key, []) for found in inside)
            lines += merged_order(had, one, other, set(forms[key]), rank, spell=itself)
    return [text for text, _ in lines]


def _by_unit(lines: Iterable[Line], units: Mapping[bytes, Hashable]) -> dict[Hashable, list[Line]]:
    """The lines of each unit."""
    found: dict[Hashable, list[Line]] = {}
    for line in lines:
        if (unit := units.get(line[0])) is not None:
            found.setdefault(unit, []).append(line)
    return found


def _staying(
    lines: Iterable[Line],
    kept: set[Line],
    units: Mapping[bytes, Hashable],
    staying: set[Hashable],
) -> list[Line]:
    """A version's kept lines; and of a unit that stays, but in forms that this version does not
    have, the first line, which shows its place."""
    lines = list(lines)
    here = {units.get(line[0]) for line in lines if line in kept}
    placed = []
    for line in lines:
        if line in kept:
            placed.append(line)
        elif (unit := units.get(line[0])) in staying and unit not in here:
            here.add(unit)
            placed.append(line)
    return placed


def _scattered(lines: Iterable[Line], units: Mapping[bytes, Hashable]) -> set[Hashable]:
    """The units of which lines stand apart."""
    seen: set[Hashable] = set()
    apart: set[Hashable] = set()
    last: Hashable = None
    for text, _ in lines:
        unit = units.get(text)
        if unit is not None and unit != last:
            if unit in seen:
                apart.add(unit)
            seen.add(unit)
        last = unit
    return apart


def _keys(
    lines: Iterable[Line], units: Mapping[bytes, Hashable], known: Container[Hashable]
) -> list[Hashable]:
    """A version as the sequence of its units and of the lines that are in none."""
    keys = (units.get(line[0], line) for line in lines)
    return list(dict.fromkeys(key for key in keys if key in known))


# --- the order -----------------------------------------------------------------------------------


class _Start:
    """What stands before the first line: the fixed point that every version has."""


_START: Any = _Start()


def merged_order(
    base: Sequence[Key],
    ours: Sequence[Key],
    theirs: Sequence[Key],
    kept: Container[Key],
    rank: Rank,
    spell: Spelling,
) -> list[Key]:
    """The keys that stay, in their order. In no version does a key stand twice."""
    fixed = [_START, *(key for key in base if key in kept)]
    places = {key: place for place, key in enumerate(fixed)}
    one, other = (
        _with_fixed([key for key in side if key in kept], fixed) for side in (ours, theirs)
    )
    order = three_way(
        fixed,
        [key for key in one if key in places],
        [key for key in other if key in places],
        lambda left, right: min(left, right, key=lambda keys: [spell(key) for key in keys[1:]]),
    )
    ranks = {key: rank(key) for side in (one, other) for key in side if key not in places}
    if not ranks:
        return order[1:]
    hooks = _united_hooks(_hooks(one, ranks), _hooks(other, ranks), places, ranks)
    return _written_out(order, hooks, ranks)


def _with_fixed(side: list[Key], fixed: list[Key]) -> list[Key]:
    """The side with every fixed point in it, the start first.

    One is missing if this side deleted a message that the other edited, so that it stays. It goes
    behind the one before it in the base. From the outcome nobody could tell that it was not there.
    """
    there = {_START, *side}
    behind = {before: key for before, key in pairwise(fixed) if key not in there}
    full: list[Key] = []
    for key in [_START, *side]:
        full.append(key)
        while full[-1] in behind:
            full.append(behind[full[-1]])
    return full


def _hooks(side: Iterable[Key], ranks: Mapping[Key, Any]) -> dict[Key, Key]:
    """For each line that is no fixed point the one that it hangs on."""
    hooks: dict[Key, Key] = {}
    above: list[Key] = []  # the fixed point, then ever lower ranks: what the next one may hang on
    for key in side:
        if key not in ranks:
            above = [key]
            continue
        while above[-1] in ranks and ranks[above[-1]] < ranks[key]:
            above.pop()
        hooks[key] = above[-1]
        above.append(key)
    return hooks


def _united_hooks(
    ours: dict[Key, Key],
    theirs: dict[Key, Key],
    places: Mapping[Key, int],
    ranks: Mapping[Key, Any],
) -> dict[Key, Key]:
    """Both sides' hooks; of two for one line the nearer: the lower rank, the later fixed point."""
    united = {**ours, **theirs}
    for key in ours.keys() & theirs.keys():
        hooks = {ours[key], theirs[key]}
        if len(hooks) > 1:
            loose = [hook for hook in hooks if hook in ranks]
            nearer = (
                min(loose, key=ranks.__getitem__) if loose else max(hooks, key=places.__getitem__)
            )
            united[key] = nearer
    return united


def _written_out(order: list[Key], hooks: dict[Key, Key], ranks: Mapping[Key, Any]) -> list[Key]:
    """The forest as a list: each fixed point in its turn, and behind it all that hangs on it."""
    hanging: dict[Key, list[Key]] = {}
    for key in sorted(hooks, key=ranks.__getitem__, reverse=True):
        hanging.setdefault(hooks[key], []).append(key)
    written: list[Key] = []
    todo = order[::-1]
    while todo:
        key = todo.pop()
        written.append(key)
        todo.extend(hanging.get(key, ()))
    return written[1:]
