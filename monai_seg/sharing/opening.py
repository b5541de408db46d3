"""Open a bundle: ours as it is, a stranger's as a verified copy if it is data alone, and else only with trust."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import monai_seg
from monai_seg.sharing.audit import AuditReport, Finding, Verdict, audit, printable
from monai_seg.sharing.unpack import UnsafeBundleError, unpack

OUR_BUNDLES = Path(monai_seg.__file__).parents[1] / "bundles"
_CONFIGURATION = re.compile(r"([^/]+/)?configs/[^/]+\.(json|ya?ml)")
_SHOWN = 10
logger = logging.getLogger(__name__)


class NoBundleError(ValueError):
    """There is nothing at a path, or no bundle."""


class BundleTrustError(ValueError):
    """A bundle runs code and is not trusted, or is refused whoever trusts it; the text lists why."""


@dataclass(frozen=True)
class OpenedBundle:
    """A bundle whose files may be used.

    Args:
        root: folder with its files: the folder itself, or a copy that lasts as long as the bundle is open.
        is_data: nothing of it runs, and the files are those of its manifest.
    """

    root: Path
    is_data: bool


@contextmanager
def opened_bundle(path: Path, trust: bool = False) -> Iterator[OpenedBundle]:
    """Open a bundle without running anything of it.

    A folder of the project's own ``bundles`` is ours, and used as it is. Everything else is audited. Data alone is
    copied, and the copy is audited again, so that what was looked at is what is used. What runs code needs ``trust``,
    and is told to the log before it is used.

    Args:
        path: a folder, or a ZIP with a bundle at its top or in its only folder.
        trust: use it although it runs code.

    Raises:
        NoBundleError: there is nothing, or no bundle.
        BundleTrustError: it runs code and is not trusted, it is refused, or it changes while it is opened.
        OSError: it cannot be read, or there is no room for a copy.
    """
    if not path.exists():
        raise NoBundleError(f"there is no {path}\n  mend   name the folder of a bundle, or its ZIP")
    if is_ours(path):
        yield OpenedBundle(path, is_data=False)
        return
    if path.is_dir() and not any(_CONFIGURATION.fullmatch(f"configs/{name}") for name in _configurations(path)):
        raise _no_bundle(path)  # before a folder of something else is read as a whole
    report = audit(path)
    if report.verdict == Verdict.REFUSED:
        raise BundleTrustError(_refusal(path, report))
    if not any(_CONFIGURATION.fullmatch(name) for name in report.hashes):
        raise _no_bundle(path)
    if report.verdict == Verdict.NEEDS_TRUST and not trust:
        raise BundleTrustError(_distrust(path, report))
    is_data = report.verdict == Verdict.DATA_ONLY
    if not is_data:
        logger.warning("%s runs code that is not ours; you trust it with:\n%s", path, _told(report.findings))
        if path.is_dir():
            yield OpenedBundle(path, is_data=False)
            return
    with tempfile.TemporaryDirectory(prefix="monai-seg-", ignore_cleanup_errors=True) as temporary:
        copy = Path(temporary).resolve() / (path.resolve().name.removesuffix(".zip") or "bundle")
        _copy_verified(path, copy, report)
        yield OpenedBundle(_top(copy), is_data)


def is_ours(path: Path) -> bool:
    """Whether a path is a folder directly in the project's own ``bundles``, also by way of links."""
    return path.is_dir() and path.resolve().parent == OUR_BUNDLES.resolve()


def _configurations(folder: Path) -> list[str]:
    inside = folder / "configs"
    return [each.name for each in inside.iterdir()] if inside.is_dir() else []


def _copy_verified(path: Path, copy: Path, report: AuditReport) -> None:
    """Copy what was audited; what is no longer the same is refused, whatever it is now."""
    try:
        unpack(path, copy)
        again = audit(copy)
    except UnsafeBundleError as error:
        raise BundleTrustError(str(error)) from error
    if again.verdict > report.verdict or again.hashes != report.hashes:
        names = sorted({name for name, _ in report.hashes.items() ^ again.hashes.items()})
        lines = "\n".join(f"  {printable(name)[:160]}" for name in names[:_SHOWN])
        raise BundleTrustError(f"{path} changed while it was opened\n{lines}\n  mend   see who writes to it; try again")


def _top(copy: Path) -> Path:
    """The folder with the bundle: many ZIPs hold one folder with everything."""
    inside = list(copy.iterdir())
    is_nested = len(inside) == 1 and inside[0].is_dir() and inside[0].name != "configs"
    return inside[0] if is_nested else copy


def _refusal(path: Path, report: AuditReport) -> str:
    refused = [each for each in report.findings if each.level == Verdict.REFUSED]
    mend = f"do not use it; `monai-seg audit {path}` shows everything; no option opens it"
    return f"{path} is refused: it is dangerous or malformed\n{_told(refused)}\n  mend   {mend}"


def _distrust(path: Path, report: AuditReport) -> str:
    return (
        f"{path} runs code that is not ours, or might\n{_told(report.findings)}\n"
        f"  mend   see everything: monai-seg audit {path}\n"
        "  mend   if you trust who made it, add --trust"
    )


def _told(findings: list[Finding]) -> str:
    """The first findings, a line each, and how many more there are."""
    lines = [f"  {printable(each.where)[-160:]}  {printable(each.reason)[:160]}" for each in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        lines.append(f"  and {len(findings) - _SHOWN:,} more")
    return "\n".join(lines)


def _no_bundle(path: Path) -> NoBundleError:
    mend = "name the folder of a bundle, or a ZIP of it"
    return NoBundleError(f"{path} is no bundle: it has no configs/inference.yaml or .json\n  mend   {mend}")
