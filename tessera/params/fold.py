"""`fold:` how folds are made."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tessera.params.section import Section, Seed, unique

FOLD_MAKERS = {  # maker → its unit; what it does: MAKERS in tessera/data/makers/build.py
    "stratified": "image", "domains": "image", "given": "image", "z_blocks": "part", "strips": "part", "blocks": "part",
}  # fmt: skip


class Fold(Section):
    unit: Literal["image", "part"]  # whole images, or parts of them
    maker: Literal[*FOLD_MAKERS] | None = None  # see maker_name
    count: int = Field(ge=2)
    run: Annotated[list[int], Field(min_length=1), AfterValidator(unique)]  # the folds to train
    buffer: int = Field(ge=0)  # unit part: between training and another fold; slices and original px
    seed: Seed
    strata: Annotated[list[str], AfterValidator(unique)] = ["stratum"]  # manifest columns, the most important first
    positive_bins: int = Field(ge=1, default=1)  # maker stratified: of the positive share, as a last stratum; 1 is off
    given: str | None = None  # maker given: a csv in data.source (columns data.id and fold), or a manifest column
    blocks: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None  # maker blocks: rows, columns
    # look-alikes differ in at most so many of 64 bits; null: not sought
    near: int | None = Field(ge=0, le=12, default=None)
    allow: list[tuple[str, str]] = []  # look-alikes, pairs of ids, that a person has reviewed

    @property
    def maker_name(self) -> str:
        """The maker; without one, that of the unit as it always was."""
        return self.maker or {"image": "stratified", "part": "z_blocks"}[self.unit]

    @model_validator(mode="after")
    def _maker_has_its_keys(self) -> "Fold":
        if FOLD_MAKERS[self.maker_name] != self.unit:
            raise ValueError(
                f"maker {self.maker} makes folds of unit {FOLD_MAKERS[self.maker_name]}, unit is {self.unit}"
            )
        for maker in ("given", "blocks"):
            if (getattr(self, maker) is not None) != (self.maker == maker):
                raise ValueError(f"the key {maker} belongs to maker {maker}: give both or neither")
        if self.positive_bins > 1 and self.maker_name != "stratified":
            raise ValueError("positive_bins belongs to maker stratified")
        return self

    @model_validator(mode="after")
    def _run_exists(self) -> "Fold":
        strange = [fold for fold in self.run if not 0 <= fold < self.count]
        if strange:
            raise ValueError(f"run names fold {strange[0]}; with count {self.count} folds are 0…{self.count - 1}")
        return self
