"""What an export wrote, as a table."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.export import Manifest


def checksum_lines(manifest: "Manifest") -> list[str]:
    """What the checksums of each file that has some find, a line a file."""
    from hwnas.export.documents import checksums_text

    return [f"{file.name}: {checksums_text(file.checksums)}" for file in manifest.files if file.checksums is not None]


def exported_table(manifest: "Manifest") -> tuple[list[str], list[list[str]]]:
    """Titles and rows: of each file its test error with interval, size, latency where it was measured for such a file, and on how
    many of the stored images it answers as the trained network does.
    """
    from hwnas.export.documents import agreement_text, error_text, latency_text

    rows = [
        [
            file.name,
            error_text(file, "test") or "",
            f"{file.size_bytes / 1000:,.1f}",
            latency_text(file) or "",
            agreement_text(file),
        ]
        for file in manifest.files
    ]
    return ["file", "test error (95 %)", "kB", "latency ms", "same answers"], rows
