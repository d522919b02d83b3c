"""Branches: a message that is said again stands beside the first one, and nothing is lost.

A message's ``parent`` is its place's predecessor in the conversation; messages of one parent are
the forms of one moment, and each end of the tree is the tip of a branch. All orders are the file's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vault_sessions.model import Message


class Fork(NamedTuple):
    """A message among those that stand beside each other: which of them it is, from 0, and all
    their ids."""

    at: int
    ids: tuple[str, ...]


def place(messages: Sequence[Message], message_id: str) -> int | None:
    """Where a message stands in the file's order; None: it does not."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].id == message_id:
            return index
    return None


def through(messages: Sequence[Message], index: int) -> list[Message]:
    """The branch from its start through the message at that place; -1: nothing."""
    branch: list[Message] = []
    while index >= 0:
        branch.append(messages[index])
        index = messages[index].parent
    branch.reverse()
    return branch


def tip(messages: Sequence[Message], index: int) -> int:
    """Where the newest branch through the message at that place ends."""
    on_it = {index}
    newest = index
    for after in range(index + 1, len(messages)):
        if messages[after].parent in on_it:
            on_it.add(after)
            newest = after
    return newest


def tips(messages: Sequence[Message]) -> list[str]:
    """The ends of all branches, so that those which part last stand next to each other."""
    if _is_straight(messages):
        return [message.id for message in messages[-1:]]
    children = _children(messages)
    found = []
    waiting = children.get(-1, [])[::-1]
    while waiting:
        index = waiting.pop()
        after = children.get(index)
        if after:
            waiting.extend(reversed(after))
        else:
            found.append(messages[index].id)
    return found


def forks(messages: Sequence[Message], branch: Sequence[Message]) -> dict[str, Fork]:
    """The messages of a branch that others stand beside, by id."""
    if _is_straight(messages):
        return {}
    children = _children(messages)
    found = {}
    for message in branch:
        beside = tuple(messages[index].id for index in children[message.parent])
        if len(beside) > 1:
            found[message.id] = Fork(beside.index(message.id), beside)
    return found


def unanswered(messages: Sequence[Message], index: int) -> bool:
    """Is it the last line of all, and a user's: does an answer go right behind it?"""
    return index == len(messages) - 1 and messages[index].role == "user"


def _is_straight(messages: Sequence[Message]) -> bool:
    return all(message.parent == index - 1 for index, message in enumerate(messages))


def _children(messages: Sequence[Message]) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for index, message in enumerate(messages):
        children.setdefault(message.parent, []).append(index)
    return children
