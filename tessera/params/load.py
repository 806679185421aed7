"""The schema of params.yaml: every choice that changes results, one section a stage.

A default means "as it always was" and is never edited: new behaviour is a new value in params.yaml. What only changes
speed (device, workers, …) comes from TESSERA_* variables instead.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError, model_validator

from tessera.errors import InputError
from tessera.params.agreement import disagreements
from tessera.params.clean import Clean
from tessera.params.data import Data
from tessera.params.explain import explain
from tessera.params.fold import Fold
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.params.pseudo import Pseudo
from tessera.params.sample import Sample
from tessera.params.score import Score
from tessera.params.section import Name, Section
from tessera.params.submit import Submit
from tessera.params.tile import Tile
from tessera.params.train import Train
from tessera.params.tune import Tune


class Params(Section):
    sample: Sample
    data: Data
    score: Score
    tile: Tile
    clean: Clean
    fold: Fold
    train: Train
    models: dict[Name, Model]
    predict: Predict
    tune: Tune
    submit: Submit
    pseudo: Pseudo | None = None

    @model_validator(mode="after")
    def _sections_agree(self) -> "Params":
        if problems := disagreements(self):
            raise ValueError("\n".join(problems))
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Reads and checks params.yaml. Raises InputError with every wrong key, its value and what is allowed."""
    try:
        values, problems = _read(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        problems += [line for one in error.errors() for line in explain(one, Params).splitlines()]
    if problems:
        raise InputError(*(f"{path}: {problem}" for problem in problems))
    return params


def _read(path: Path) -> tuple[object, list[str]]:
    """What the file holds, and a problem for each key that stands twice in one section: YAML keeps the last."""
    loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
    try:
        node = loader.get_single_node()
        problems = list(_repeated(node, "", set()))  # before `<<` puts keys into sections
        return loader.construct_document(node) if node else None, problems
    finally:
        loader.dispose()


def _repeated(node: yaml.Node | None, place: str, seen: set[int]) -> Iterator[str]:
    if id(node) in seen or not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        return
    seen.add(id(node))  # an anchor's section stands at each of its aliases
    if isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _repeated(value, f"{place}{number}.", seen)
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines:
            yield f"line {line}: {place}{name} stands there a second time, after line {lines[name]}; keep one of them"
        lines.setdefault(name, line)
        yield from _repeated(value, f"{place}{name}.", seen)
