"""Files of a bundle that are no configuration, by what they hold and not by what they are called."""

from __future__ import annotations

import configparser
import json
import pickletools
import re
import sys
import zipfile
from collections import deque
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from monai_seg.sharing.audit.archive import open_archive
from monai_seg.sharing.audit.members import BROKEN, Member, Members, text_of
from monai_seg.sharing.audit.report import MOST_LETTERS, AuditReport

DATA_ENDINGS = (
    ".md",
    ".txt",
    ".csv",
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".bmp",
    ".nii",
    ".nii.gz",
    ".safetensors",
)
DATA_NAMES = ("LICENSE", "LICENCE", "NOTICE", ".gitignore", ".gitattributes")
_CODE = (".py", ".pyc", ".pyi", ".pyx", ".so", ".pyd", ".dll", ".dylib", ".exe", ".sh", ".bat", ".cmd", ".ps1",
         ".ipynb", ".jar", ".whl", ".egg", ".cu", ".js", ".html", ".svg", ".lua", ".rb", ".pl")  # fmt: skip
_MODULES = (".py", ".pyc", ".so", ".pyd")
# What MONAI imports where it is there: a module of that name in the bundle's folder runs instead.
_SHADOWED = frozenset(sys.stdlib_module_names) | {
    "torch", "torchvision", "numpy", "scipy", "monai", "monai_seg", "ignite", "yaml", "fire", "nrrd", "itk", "nibabel",
    "PIL", "skimage", "cucim", "tifffile", "pydicom", "einops", "transformers", "mlflow", "tensorboard", "tensorboardX",
    "tqdm", "psutil", "pandas", "matplotlib", "onnx", "onnxruntime", "zarr", "lmdb", "h5py", "cv2", "openslide",
    "jsonschema", "pynvml", "gdown", "requests", "huggingface_hub", "pytest", "rich", "safetensors", "sklearn",
    "pycocotools", "optuna", "ninja", "clearml", "nvidia", "cupy", "tensorrt", "torch_tensorrt", "metatensor",
    "sitecustomize", "usercustomize", "rasterio", "filelock", "packaging", "typing_extensions", "imagecodecs",
}  # fmt: skip
_PICKLE_ENDINGS = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill")
_HARMLESS_GLOBALS = frozenset(
    {("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")}
    | {
        ("torch", f"{kind}Storage")
        for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Byte", "Bool")
    }
)
_LOGGING = re.compile(r"\s*\(\s*(sys\.(stdout|stderr)\s*,?)?\s*\)\s*")
_MOST_HEADER = 4 << 20  # tells of 40,000 tensors
_MOST_PICKLES = 16  # within one checkpoint
_MOST_PICKLED = 8 << 20
_MOST_INSTRUCTIONS = 2_000_000  # of all pickles of a bundle
_PLACE = re.compile(rb"\x0a\x08location\x12(.)", re.DOTALL)
_LONGEST_PLACE = 300  # bytes of the pattern and of the longest name that one byte counts
_MOST_PLACES = 1000
_WIDTHS = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
           "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}  # fmt: skip


def look_at_content(members: Members, member: Member, report: AuditReport) -> None:
    """Note what a file would run, by its name and by what it holds.

    Args:
        members: the bundle.
        member: one of its files.
        report: gets the findings.
    """
    name, lower = member.name, member.name.lower()
    head = members.head(name, 512)
    if _is_code(name, head):
        module = PurePosixPath(name).parts[0].split(".")[0]
        if module in _SHADOWED and (lower.endswith(_MODULES) or "/" in name):
            report.refuse(name, f"would run in place of the module {module}")
        else:
            report.distrust(name, "is code")
    elif lower.endswith(".conf") or PurePosixPath(lower).name.startswith("logging."):
        _look_at_logging(members, member, report)
    elif lower.endswith((".npy", ".npz")) or head[:6] == b"\x93NUMPY":
        _look_at_array(name, head, report)
    elif head[:2] == b"PK" or zipfile_inside(head):
        _look_at_archive(members, member, report)
    elif _looks_pickled(lower, head):
        with members.opened(name) as file:
            _look_at_pickle(name, file, report)
    elif lower.endswith(".safetensors"):
        _look_at_safetensors(members, member, report)
    elif lower.endswith(".onnx"):
        _look_at_onnx(members, member, report)
    elif not (lower.endswith(DATA_ENDINGS) or PurePosixPath(name).name in DATA_NAMES):
        report.distrust(name, "is of a kind that is not known to be data")


def zipfile_inside(head: bytes) -> bool:
    """Whether an archive begins behind something else, as in a file that is two kinds at once."""
    return b"PK\x03\x04" in head


def _is_code(name: str, head: bytes) -> bool:
    lower = name.lower()
    is_binary = head[:4] in (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe") or head[:2] == b"MZ"
    return lower.endswith(_CODE) or head[:2] == b"#!" or is_binary or "__pycache__" in name.split("/")


def _look_at_logging(members: Members, member: Member, report: AuditReport) -> None:
    """`logging.config` evaluates the arguments of handlers; only what the standard library's own need is let pass."""
    report.letters += member.size
    if report.letters > MOST_LETTERS:
        report.distrust(member.name, f"was not looked at: configurations have more than {MOST_LETTERS:,} bytes")
        return
    text = text_of(members, member, MOST_LETTERS)
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text if text is not None else "")
        sections = {section: dict(parser.items(section)) for section in parser.sections()}
    except configparser.Error as error:
        report.refuse(member.name, f"is no configuration of logging: {str(error).splitlines()[0]}")
        return
    if text is None or not sections:
        report.refuse(member.name, "is no configuration of logging")
    for section, values in sections.items():
        for key, value in values.items():
            if key in ("args", "kwargs") and not _LOGGING.fullmatch(value):
                report.refuse(member.name, f"[{section}] evaluates {value[:80]}")
            elif key == "class" and value not in (
                "StreamHandler",
                "logging.StreamHandler",
                "NullHandler",
                "logging.Formatter",
            ):
                report.refuse(member.name, f"[{section}] makes a {value[:80]}")
    report.distrust(member.name, "would set up logging")


def _look_at_array(name: str, head: bytes, report: AuditReport) -> None:
    if b"|O" in head or b"'O'" in head or name.lower().endswith(".npz"):
        report.refuse(name, "may hold pickled objects")
    else:
        report.distrust(name, "is an array of numpy, which no bundle of data needs")


def _look_at_archive(members: Members, member: Member, report: AuditReport) -> None:
    """A checkpoint of torch, TorchScript, or a ZIP within the bundle; read where it lies, never as a whole."""
    try:
        with members.opened(member.name) as file, open_archive(file) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.header_offset)  # no way back in a compressed file
            if any("/code/" in f"/{each.filename}" or each.filename.endswith("constants.pkl") for each in infos):
                report.distrust(member.name, "is TorchScript, which is code")
            pickles = [each for each in infos if each.filename.endswith(".pkl")]
            for each in pickles[:_MOST_PICKLES]:
                if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    report.refuse(member.name, "holds a pickle that is compressed in another way than by deflate")
                    continue
                with archive.open(each) as inside:
                    _look_at_pickle(f"{member.name}/{each.filename}", inside, report)
            if len(pickles) > _MOST_PICKLES:
                report.refuse(member.name, f"holds {len(pickles):,} pickles; {_MOST_PICKLES} are the most")
            if not pickles:
                report.distrust(member.name, "is an archive within the bundle")
            elif not member.name.lower().endswith(_PICKLE_ENDINGS):
                report.refuse(member.name, "holds a pickle under another name")
    except BROKEN as error:
        report.refuse(member.name, f"is a broken archive: {str(error)[:80]}")


def _looks_pickled(lower: str, head: bytes) -> bool:
    return lower.endswith(_PICKLE_ENDINGS) or (
        head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and len(head) > 2
    )


def _look_at_pickle(name: str, file: Any, report: AuditReport) -> None:
    """The names that a pickle would import, read off its instructions."""
    report.distrust(name, "is a pickle, which runs what it names")
    strings: deque[str] = deque(maxlen=2)
    strange: dict[str, None] = {}
    content = file.read(_MOST_PICKLED)
    try:
        for operation, argument, _ in pickletools.genops(content):
            report.instructions += 1
            if report.instructions > _MOST_INSTRUCTIONS:
                report.distrust(name, f"has instructions beyond the {_MOST_INSTRUCTIONS:,} that were looked at")
                break
            if operation.name in ("GLOBAL", "INST"):
                module, _, attribute = str(argument).partition(" ")
                if (module, attribute) not in _HARMLESS_GLOBALS:
                    strange[f"{module}.{attribute}"] = None
            elif operation.name == "STACK_GLOBAL":
                pair = tuple(strings)
                if pair not in _HARMLESS_GLOBALS:
                    strange[".".join(pair) or "a name that it makes up"] = None
            elif operation.name in ("EXT1", "EXT2", "EXT4"):
                strange["a name that is kept elsewhere"] = None
            elif isinstance(argument, str) and "UNICODE" in operation.name:
                strings.append(argument)
            elif operation.name in ("MEMOIZE", "BINPUT", "PUT", "LONG_BINPUT"):
                continue
    except (ValueError, IndexError, EOFError, UnicodeDecodeError, OverflowError, MemoryError) as error:
        if len(content) == _MOST_PICKLED:
            report.distrust(name, f"has more than the {_MOST_PICKLED >> 20} MiB that were looked at")
        else:
            report.refuse(name, f"is a broken pickle: {str(error)[:80]}")
    for each in list(strange)[:8]:
        report.refuse(name, f"would call {each[:120]}")


def _look_at_safetensors(members: Members, member: Member, report: AuditReport) -> None:
    with members.opened(member.name) as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MOST_HEADER, member.size - 8):
            report.refuse(member.name, "has a header that does not fit")
            return
        raw = file.read(length)
    try:
        header = json.loads(raw)
        entries = sorted(
            (*tuple(entry["data_offsets"]), _bytes_of(entry)) for key, entry in header.items() if key != "__metadata__"
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        report.refuse(member.name, "has a header that cannot be read")
        return
    position = 0
    for start, end, needed in entries:
        if start != position or end - start != needed:
            report.refuse(member.name, "has tensors that overlap, or are of another size than told")
            return
        position = end
    if position != member.size - 8 - length:
        report.refuse(member.name, "holds more, or less, than its tensors")


def _bytes_of(entry: dict[str, Any]) -> int:
    count = _WIDTHS[entry["dtype"]]
    for extent in entry["shape"]:
        if not isinstance(extent, int) or extent < 0:
            raise ValueError("a shape is none")
        count *= extent
    return count


def _look_at_onnx(members: Members, member: Member, report: AuditReport) -> None:
    """The places of weights outside of the file: ``location`` in the list ``external_data`` of a tensor."""
    report.distrust(member.name, "is a network in ONNX, for which another program is needed")
    for place in _external_places(members, member):
        if place.startswith(("/", "~", "\\")) or ".." in re.split(r"[/\\]", place) or ":" in place:
            report.refuse(member.name, f"reads weights outside of the bundle: {place[:80]}")
        elif place not in {each.name.rpartition("/")[2] for each in members.files}:
            report.refuse(member.name, f"reads weights that are not there: {place[:80]}")


def _external_places(members: Members, member: Member) -> Iterator[str]:
    rest, seen = b"", set()
    with members.opened(member.name) as file:
        while part := file.read(1 << 20):
            content = rest + part
            # What begins in the last bytes may go on in the next part.
            seen |= _places_in(content, len(content) - _LONGEST_PLACE)
            rest = content[-_LONGEST_PLACE:]
    yield from sorted(seen | _places_in(rest, len(rest)))[:_MOST_PLACES]


def _places_in(content: bytes, end: int) -> set[str]:
    found = (match for match in _PLACE.finditer(content) if match.start() < end)
    return {content[match.end() : match.end() + match[1][0]].decode("utf-8", "replace") for match in found}
