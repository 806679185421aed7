"""What the csv files of a competition call their columns and classes."""

from typing import TYPE_CHECKING, NamedTuple

from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.data import Data


class CsvNames(NamedTuple):
    """The columns of a csv with a row a mask, and what is said there of a class → the class."""

    row_id: str = "id"
    class_name: str = "class"
    rle: str = "rle"
    classes: dict[str, str] = {}  # noqa: RUF012, never written to

    def columns(self, by_class: bool) -> list[str]:
        """Those of the id, of the class (`by_class`: where a row is one class of an image) and of the RLE."""
        return [self.row_id, self.class_name, self.rle] if by_class else [self.row_id, self.rle]

    def find(self, place: object, header: list[str], by_class: bool) -> list[str]:
        """The same in the csv at `place`, which may have others: one that is not there by name is the only one left.

        Raises InputError: the csv lacks one, or several may be it; with the key that names it.
        """
        keys = {"data.id": self.row_id, "data.class_column": self.class_name, "data.rle_column": self.rle}
        wanted = {key: name for key, name in keys.items() if by_class or key != "data.class_column"}
        lacking = {key: name for key, name in wanted.items() if name not in header}
        left = [name for name in header if name not in keys.values()]
        if not lacking:
            return list(wanted.values())
        if len(lacking) == len(left) == 1 and "data.id" not in lacking:
            return [left[0] if key in lacking else name for key, name in wanted.items()]
        columns = ", ".join(header)
        raise InputError(
            *(f"{place}: has no column {name!r} ({key}); its columns are {columns}" for key, name in lacking.items())
        )

    def class_of(self, said: str) -> str:
        """The class of a cell; of an unknown one, what it says."""
        return self.classes.get(said, said)


def csv_names(data: "Data") -> CsvNames:
    """Those that the `data:` section says."""
    classes = {name: name for name in data.classes} | data.class_names
    own = {said: name for said, name in classes.items() if name in data.classes}
    return CsvNames(data.id, data.class_column or CsvNames().class_name, data.rle_column, own)
