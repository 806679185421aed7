"""`submit:` the file that is handed in."""

from tessera.params.section import Section


class Submit(Section):
    dialect: str
