"""The formats there are."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from datasets_app.core.exporting import dialects, tables
from datasets_app.core.exporting.base import Columns, Entry, ExportFormat, Rendered
from datasets_app.core.records import dumps

_PUBLISHED = "2026-11"  # when the platforms' rules were read


def canonical_row(entry: Entry, columns: Columns) -> Rendered:
    """The record as it is stored: importing the line gives the record back."""
    return Rendered(dumps(entry.trace).encode())


def _as_parquet(lines: Path, target: Path, columns: Columns) -> None:
    from datasets_app.core.exporting import parquet  # noqa: PLC0415 - half a second and 40 MB, for this format alone

    parquet.write(lines, target, columns)


def _platform(name: str, dialect: dialects.Dialect, sentence: str, needs: str, head: bytes = b"") -> ExportFormat:
    return ExportFormat(
        name=name,
        label=f"{dialect.label} RFT",
        suffix=".jsonl",
        sentence=sentence,
        needs=needs,
        version=f"{name}-{_PUBLISHED}",
        render=partial(dialects.render, dialect),
        rules=dialects.rules_of(dialect),
        notes=dialects.notes_of(dialect),
        limits=dialect.limits,
        platform=dialect.label,
        head=lambda columns: head,
    )


CANONICAL = ExportFormat(
    name="canonical",
    label="RFT Studio records",
    suffix=".jsonl",
    sentence="Everything a record holds, one JSON object a line. Importing the file gives the same records back.",
    needs="Takes every record, broken ones too.",
    version="canonical-1",
    render=canonical_row,
)
OPENAI = _platform(
    "openai",
    dialects.OPENAI,
    "Prompts with their right answers, as OpenAI's reinforcement fine-tuning takes them.",
    "At most 50,000 rows to train on or 1,000 to check with, 512 MB; each ends with the user.",
)
AZURE = _platform(
    "azure",
    dialects.AZURE,
    "The same for Microsoft Foundry: text only, marked as UTF-8.",
    "At least 10 rows, at most 50,000 to train on or 1,000 to check with, under 512 MB.",
    b"\xef\xbb\xbf",
)
BEDROCK = _platform(
    "bedrock",
    dialects.BEDROCK,
    "For Amazon Bedrock: Nova as well as open-weight models read this file.",
    "100 to 20,000 rows, text only; a right answer is a text or an object.",
)
TRL = ExportFormat(
    name="trl",
    label="TRL prompts",
    suffix=".jsonl",
    sentence="A prompt-only conversational dataset for training on your own machines with TRL.",
    needs="Text only; each ends with the user. Reward functions get the other columns by name.",
    version="trl-1",
    render=tables.trl_row,
    rules=dialects.COMMON_RULES,
    notes=(tables.REPLACED,),
    surveyed=True,
)
CSV = ExportFormat(
    name="csv",
    label="CSV",
    suffix=".csv",
    sentence="A flat table for spreadsheets; messages and other nested values are JSON in their cells.",
    needs="Takes records with messages. Cells that look like formulas get an apostrophe in front.",
    version="csv-1",
    render=tables.csv_row,
    rules=(tables.NO_MESSAGES,),
    notes=(tables.REPLACED,),
    surveyed=True,
    head=tables.csv_head,
    media_type="text/csv",
)
PARQUET = ExportFormat(
    name="parquet",
    label="Parquet",
    suffix=".parquet",
    sentence="A typed table for data tools, compressed, with the messages as lists.",
    needs="Takes records with messages.",
    version="parquet-1",
    render=tables.parquet_line,
    rules=(tables.NO_MESSAGES,),
    notes=(tables.MESSAGES_AS_TEXT, tables.REPLACED),
    surveyed=True,
    finish=_as_parquet,
    media_type="application/vnd.apache.parquet",
)
FORMATS: dict[str, ExportFormat] = {
    format.name: format for format in (CANONICAL, OPENAI, AZURE, BEDROCK, TRL, CSV, PARQUET)
}
