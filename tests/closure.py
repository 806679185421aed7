"""Which of our modules a stage imports, and which params keys it reads: both from its syntax tree."""

import ast
import typing
from pathlib import Path

from tessera.params.load import Params
from tessera.params.section import Section

ROOT = Path(__file__).parent.parent
SCHEMA = Path("tessera/params")  # every stage loads all of it: dvc.yaml lists the folder


def import_closure(stage: str, root: Path = ROOT) -> list[str]:
    """The files of ours that `python -m stages.<stage>` runs, sorted, without empty __init__.py.

    A file beside a module with the same stem, such as report.html.jinja, is the module's.
    """
    seen: set[Path] = set()
    waiting = [root / "stages" / f"{stage}.py"]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += [found for name in _imports(ast.parse(path.read_text())) if (found := _file(name, root))]
    beside = {other for path in seen for other in path.parent.glob(f"{path.stem}.*")}
    files = {path.relative_to(root) for path in beside}
    return sorted({(SCHEMA if SCHEMA in path.parents else path).as_posix() for path in files})


def params_read(stage: str, root: Path = ROOT) -> list[str]:
    """The params keys that a stage's script reads, as dvc.yaml lists them; a key covers those below it."""
    tree = ast.parse((root / "stages" / f"{stage}.py").read_text())
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Subscript)}
    keys = set()
    for node in ast.walk(tree):
        if id(node) not in inner and (chain := _chain(node)) is not None:
            keys.add(_key(chain))
    return sorted(key for key in keys if not any(key != other and key.startswith(f"{other}.") for other in keys))


def _chain(node: ast.AST) -> list[str] | None:
    """params.models[model].keep → ["models", "[model]", "keep"]; None for what does not start at `params`."""
    names = []
    while isinstance(node, ast.Attribute | ast.Subscript):
        names.append(node.attr if isinstance(node, ast.Attribute) else f"[{ast.unparse(node.slice)}]")
        node = node.value
    if not isinstance(node, ast.Name) or node.id != "params" or isinstance(node.ctx, ast.Store):
        return None
    assert names, "a stage passes `params` whole: pass the sections that are used, so that dvc.yaml can name them"
    return names[::-1]


def _key(chain: list[str]) -> str:
    """The longest start of the chain that is a key of the schema; [model] and [fold] are the matrix items."""
    section, key = Params, []
    for name in chain:
        if isinstance(section, type) and issubclass(section, Section) and name in section.model_fields:
            section = section.model_fields[name].annotation
            key.append(name)
        elif name == "[model]" and typing.get_origin(section) is dict:
            return ".".join([*key, "${item.model}"])
        else:
            break
    return ".".join(key)


def _imports(tree: ast.AST) -> list[str]:
    """Dotted names that importing a module imports: not those under `if TYPE_CHECKING`."""
    names = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        names += _imports(node)
    return names


def _file(name: str, root: Path) -> Path | None:
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    return path if name.partition(".")[0] in ("tessera", "stages") and path.is_file() else None
