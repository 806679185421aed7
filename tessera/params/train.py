"""`train:` what all trainings share."""

from typing import Literal

from tessera.params.section import Names, Section


class Train(Section):
    models: Names
    amp: Literal["none", "bf16", "fp16"]
