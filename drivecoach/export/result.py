"""What an export comes to: the result of the export stage."""

from __future__ import annotations

from pydantic import BaseModel

LEDGER = "deployed.json"
"""The file of a run folder that says where its models were deployed; see `ledger`."""


class ExportedFile(BaseModel, frozen=True, extra="forbid"):
    """A GGUF as it was written."""

    bytes: int
    sha256: str


class Agreement(BaseModel, frozen=True, extra="forbid"):
    """How far the files answer as the merged model does."""

    inputs: int
    rows: str
    """What they are: held-out test rows, or training rows where there are no others."""
    with_merged_model: dict[str, float]
    """File name to the share of inputs with the very same answer."""


class ExportResult(BaseModel, frozen=True, extra="forbid"):
    """The result of the export stage."""

    files: dict[str, ExportedFile]
    agreement: Agreement

    @property
    def digests(self) -> set[str]:
        """The SHA-256 of every file."""
        return {file.sha256 for file in self.files.values()}
