"""How often the audit refuses: all bundles in some folders, how many got each verdict, and the commonest reasons.

    python scripts/bench/bench_audit.py FOLDER...

Run it over bundles that are known to be honest (a clone of the Model Zoo's ``models``) for the rate of false alarms. A
bundle is a folder with ``configs``, or a ZIP; nothing of one is run.
"""  # fmt: skip

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from monai_seg.sharing.audit import Verdict, audit, printable

_REASONS = 15


def bundles_in(folder: Path) -> list[Path]:
    """The folder itself where it is a bundle, else every bundle and every ZIP directly in it."""
    if folder.suffix == ".zip" or (folder / "configs").is_dir():
        return [folder]
    return sorted(path for path in folder.iterdir() if path.suffix == ".zip" or (path / "configs").is_dir())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    wanted = parser.parse_args()
    bundles = [bundle for folder in wanted.folders for bundle in bundles_in(folder)]
    verdicts: Counter[Verdict] = Counter()
    reasons: dict[Verdict, Counter[str]] = {verdict: Counter() for verdict in Verdict}
    for bundle in bundles:
        report = audit(bundle)
        verdicts[report.verdict] += 1
        for level, reason in {(finding.level, finding.reason) for finding in report.findings}:
            reasons[level][reason] += 1
        _tell(f"{report.verdict!s:11}  {printable(str(bundle))}")
    _tell("")
    for verdict in Verdict:
        _tell(f"{verdict!s:11}  {verdicts[verdict]} of {len(bundles)}")
    for verdict in reversed(Verdict):
        if reasons[verdict]:
            _tell(f"\nbundles by their reasons to be {verdict}")
        for reason, count in reasons[verdict].most_common(_REASONS):
            _tell(f"  {count} x  {printable(reason)[:120]}")
    return 0


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
