"""What is wrong with params.yaml, said to the person who edits it."""

import difflib
import re
import typing

from tessera.params.section import NO_NUMBER, Section

PATTERNS = {  # of pydantic, in words
    r"^[a-z0-9_]+$": "becomes a file name: [a-z0-9_] alone, as in large_bowel",
    r"^#[0-9a-fA-F]{6}$": 'must be a colour in quotes, # and six digits of 0-9a-f, as in "#ff0000"',
}
_ADAMW = "; it is always AdamW: see lr, weight_decay, decay and clip"
ABSENT = {"optimiser": _ADAMW, "optimizer": _ADAMW}  # what there is in place of a key that others have
# Of pydantic, and our own; a boolean that is out of range is told that it is no number.
OF_NUMBERS = {NO_NUMBER.type, "greater_than", "greater_than_equal", "less_than", "less_than_equal"}


def explain(error: dict, root: type[Section]) -> str:
    """A line, or several, for an error of pydantic in the section `root`: key, value, what is expected."""
    *above, last = error["loc"] or ("",)
    where = ".".join(map(str, (*above, last) if last != "[key]" else above))
    if error["type"] == "missing":
        return f"{where} is missing"
    if error["type"] == "extra_forbidden":
        known = _keys_at(root, above)
        instead = ABSENT.get(last) or _near(last, known)
        return f"{where} = {error['input']!r} is not a known key{instead}. Known: {', '.join(known)}"
    if isinstance(error["input"], bool) and error["type"] in OF_NUMBERS:
        return f"{where}: a number is expected, got {str(error['input']).lower()}"
    said = _expected(error, root)
    if last == "[key]":
        return f"{where}: this key {said}"
    if error["input"] is None:
        return f"{where or 'it'} is empty: {said}"
    value = "" if isinstance(error["input"], dict) else f" = {error['input']!r}"
    return f"{where}{value}: {said}" if where else said


def _expected(error: dict, root: type[Section]) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "model_type":
        known = _keys_at(root, error["loc"])
        return f"must be keys with values, as in {{{known[0]}: …}}; its keys are {', '.join(known)}"
    if kind == "dict_type":
        return "must be names with values, as in {name: …}"
    if kind in ("list_type", "tuple_type"):
        return f"must be a list, as in [{value if isinstance(value, str | int | float) else '…'}]"
    if kind == "string_type":
        return "must be a string: put it in quotes" if isinstance(value, int | float) else "must be a string"
    if kind == "string_pattern_mismatch":
        files = "; what files call it goes into data.class_names" if error["loc"][:2] == ("data", "classes") else ""
        return PATTERNS[context["pattern"]] + files
    said = error["msg"].removeprefix("Value error, ").replace("Input should", "must").replace(" should ", " must ")
    said = re.sub(r"^(List|Tuple) (?=must)| after validation", "", said)
    if kind == "literal_error":
        said += _near(value, re.findall(r"'(.+?)'", context["expected"]))
    return said


def _near(name: object, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name), known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _keys_at(root: type[Section], location: typing.Iterable[str | int]) -> list[str]:
    """The keys of the section at `location`, e.g. ("models", "unet") → those of `Model`."""
    section = root
    for key in location:
        inside = _is_section(section) and key in section.model_fields
        section = _inner(section.model_fields[key].annotation if inside else section)
    return list(section.model_fields)


def _inner(kind: object) -> type:
    """The section in `Section | None`, `list[Section]` or `dict[Name, Section]`: any name leads to it."""
    while not _is_section(kind) and typing.get_args(kind):
        kind = next((one for one in typing.get_args(kind) if _is_section(one)), typing.get_args(kind)[-1])
    return kind


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
