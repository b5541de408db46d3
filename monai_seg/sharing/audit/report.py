"""What an audit has found, and the verdict that follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

MOST_FINDINGS = 10_000  # of each level
MOST_LETTERS = 256 << 10  # of all configurations of a bundle; 1 MiB of YAML may take 10 seconds and 300 MB


class Verdict(IntEnum):
    """What may be done with a bundle; the number is the exit code of `monai-seg audit`."""

    DATA_ONLY = 0
    NEEDS_TRUST = 1
    REFUSED = 2

    def __str__(self) -> str:
        return self.name.replace("_", "-")


@dataclass(frozen=True)
class Finding:
    """One thing that a bundle would do, or that is wrong with it.

    Args:
        level: the verdict that it leads to; `Verdict.DATA_ONLY` is a mere remark.
        file: within the bundle.
        line: in a text file, from 1 on; 0 where there is none.
        reason: in one line.
    """

    level: Verdict
    file: str
    reason: str
    line: int = 0

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}" if self.line else self.file


def printable(text: str) -> str:
    """A stranger's text without what could command the terminal, or turn the direction of writing."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass
class AuditReport:
    """All that an audit has found.

    Args:
        findings: in the order of the files.
        hashes: SHA-256 of each file.
        signature: the files of a signature, which the audit does not check.
        letters, instructions: how much of configurations and of pickles was read; both are limited, so that no bundle
            keeps an audit busy.
    """

    findings: list[Finding] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    signature: list[str] = field(default_factory=list)
    letters: int = 0
    instructions: int = 0
    _counts: dict[Verdict, int] = field(default_factory=dict, init=False)

    @property
    def verdict(self) -> Verdict:
        """The worst of all findings."""
        return max((finding.level for finding in self.findings), default=Verdict.DATA_ONLY)

    def refuse(self, file: str, reason: str, line: int = 0) -> None:
        """Note what is dangerous or malformed."""
        self._note(Finding(Verdict.REFUSED, file, reason, line))

    def distrust(self, file: str, reason: str, line: int = 0) -> None:
        """Note what runs code, or might."""
        self._note(Finding(Verdict.NEEDS_TRUST, file, reason, line))

    def _note(self, finding: Finding) -> None:
        count = self._counts[finding.level] = self._counts.get(finding.level, 0) + 1
        if count <= MOST_FINDINGS:
            self.findings.append(finding)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and dictionaries, for JSON."""
        findings = [
            {"level": str(each.level), "file": each.file, "line": each.line, "reason": each.reason}
            for each in self.findings
        ]
        return {"verdict": str(self.verdict), "findings": findings, "sha256": self.hashes, "signature": self.signature}
