"""What options of commands may be. A type for `main`: it reads the text, or says what was expected."""

from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """A number of things, at least one."""
    if (number := int(text)) < 1:
        raise ArgumentTypeError(f"{text}: expected 1 or more")
    return number


def score(text: str) -> float:
    """0…1, as all of `tessera/metrics` are."""
    if not 0 <= (value := float(text)) <= 1:  # NaN neither
        raise ArgumentTypeError(f"{text}: expected a score of 0…1; 80.5 % is 0.805")
    return value
