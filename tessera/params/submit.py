"""`submit:` the file that is handed in."""

from typing import Literal

from tessera.params.section import Section

# dialect → whether a row is one class of an image or slice; what it writes: DIALECTS in tessera/deliver/dialects/build.py
BY_CLASS = {"hubmap": False, "sennet": False, "uwmadison": True, "vesuvius": False}


class Submit(Section):
    dialect: Literal[*BY_CLASS]  # docs/data.md says what they write
