"""`sample:` the embedded competition."""

from pydantic import Field

from tessera.params.section import Section, Seed


class Sample(Section):
    patients: int = Field(ge=3)
    test_patients: int = Field(ge=1)
    volumes: int = Field(ge=1)  # per patient
    slices: int = Field(ge=1)  # per volume
    seed: Seed
