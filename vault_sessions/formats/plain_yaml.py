"""YAML from files that anyone may have written: what is refused before a value is made of it."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 100


class NotPlain(ValueError):
    """Not YAML, or YAML that could explode; ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def check(text: str) -> Any:
    """The loader to read the text with. Raises NotPlain for what is no YAML, for aliases (a few
    lines of them make gigabytes) and for deep nesting (libyaml's loader crashes the process)."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.AliasEvent):
                raise NotPlain("aliases (*) are not accepted", line)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise NotPlain("nested too deep", line)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise NotPlain(f"not valid YAML: {what}", mark.line + 1 if mark else 1) from None
    return loader
