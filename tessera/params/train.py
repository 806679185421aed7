"""`train:` what all trainings share."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from tessera.params.section import Name, Names, Section, unique


class Train(Section):
    models: Names
    full: Annotated[list[Name], AfterValidator(unique)]  # models that are also trained on all folds at once
    full_use: Literal["beside", "alone"]  # which networks predict the test images: the folds' too, or that one alone
    amp: Literal["none", "bf16", "fp16"]
