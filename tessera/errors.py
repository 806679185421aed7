"""The one exception a person is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """The input, a parameter or an artefact is wrong: the message says what, where, and what to do.

    Each argument is one problem. Stages print it without a traceback and exit 1; every other exception is a bug of
    ours.
    """

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


def raise_problems(title: str, problems: list[str]) -> None:
    """Raises one `InputError` that lists all `problems`, so that a person mends them in one go."""
    if problems:
        lines = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(problems, 1))
        raise InputError(f"{title}: {len(problems)} problem(s)\n{lines}")


@contextmanager
def collected(problems: list[str], place: str = "") -> Iterator[None]:
    """The problems of an InputError inside the block go to `problems`, each behind `place`."""
    try:
        yield
    except InputError as error:
        problems += [f"{place}{problem}" for problem in error.args]
