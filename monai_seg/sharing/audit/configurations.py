"""Configurations of a bundle, JSON and YAML: every key and value of them, with its line."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from monai_seg.sharing.audit.arguments import COMPONENT
from monai_seg.sharing.audit.expressions import look_at_expression
from monai_seg.sharing.audit.registry import KEPT_REFERENCES, wrong_component
from monai_seg.sharing.audit.report import AuditReport

_MOST_NODES = 200_000
_DEEPEST = 60
_LONGEST = 256
_TARGET = "_target_"
_OWN_KEYS = {"_requires_", "_disabled_", "_desc_"}
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map", "timestamp", "merge", "value")
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in _KINDS}
_OTHER_FILE = re.compile(r"^[%@]?\s*(?P<file>[^\s@%$]+\.(json|ya?ml))(#|::|$)", re.IGNORECASE)


class _Loader(yaml.SafeLoader):
    """Only composes nodes; nothing is constructed of them."""


def look_at_configuration(name: str, text: str, report: AuditReport) -> None:
    """Note every component, expression and reference of a configuration.

    Args:
        name: of the file.
        text: its content.
        report: gets the findings.
    """
    if name.lower().endswith(".json") and not _is_json(name, text, report):
        return
    try:
        documents: list[yaml.Node | None] = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # A JSON file with tabs is no YAML, and has no lines then.
        if name.lower().endswith(".json"):
            documents = [yaml.compose(json.dumps(json.loads(text)), Loader=_Loader)]
        else:
            report.refuse(name, f"is no YAML: {getattr(error, 'problem', error)}", mark.line + 1 if mark else 0)
            return
    except RecursionError:
        report.refuse(name, f"is nested deeper than {_DEEPEST} levels")
        return
    if len(documents) > 1:
        report.refuse(name, f"holds {len(documents)} documents; readers differ in which of them counts")
    _Walk(name, report).look_at(documents)


def _is_json(name: str, text: str, report: AuditReport) -> bool:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            report.refuse(name, "has a key twice; readers differ in which of them counts")
        return dict(pairs)

    try:
        json.loads(text, object_pairs_hook=unique)
    except ValueError as error:
        report.refuse(name, f"is no JSON: {error}")
        return False
    except RecursionError:
        report.refuse(name, f"is nested deeper than {_DEEPEST} levels")
        return False
    return True


class _Walk:
    """All nodes of a configuration, each once, however many aliases lead to it."""

    def __init__(self, name: str, report: AuditReport) -> None:
        self.name, self.report = name, report
        self._seen: set[int] = set()

    def look_at(self, documents: list[yaml.Node | None]) -> None:
        for document in documents:
            if document is not None:
                self._node(document, 0)

    def _node(self, node: yaml.Node, depth: int) -> None:
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        line = node.start_mark.line + 1
        if len(self._seen) == _MOST_NODES or depth == _DEEPEST:
            self.report.refuse(self.name, f"holds more than {_MOST_NODES:,} values, or {_DEEPEST} levels", line)
        if len(self._seen) >= _MOST_NODES or depth >= _DEEPEST:
            return
        if node.tag not in _PLAIN_TAGS:
            self.report.refuse(self.name, f"has the tag {node.tag}, which makes an object", line)
        if isinstance(node, yaml.ScalarNode):
            self._text(node.value, line)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._node(item, depth + 1)
        elif isinstance(node, yaml.MappingNode):
            self._mapping(node, line)
            for key, value in node.value:
                self._node(key, depth + 1)
                self._node(value, depth + 1)

    def _mapping(self, node: yaml.MappingNode, line: int) -> None:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            self.report.refuse(self.name, "has a key twice; readers differ in which of them counts", line)
        # An id may reach into the middle of another item: network_def#_target_.
        lasts = {key: re.split(r"#|::", key)[-1].strip() for key in keys}
        values = _PlainValues().of(node) if {_TARGET, "_mode_"} & set(lasts.values()) else {}
        for key, last in lasts.items():
            if last == _TARGET:
                self._target(values.get(key), {k: v for k, v in values.items() if k not in {key, *_OWN_KEYS}}, line)
            elif last == "_mode_" and values.get(key) not in ("default", "callable"):
                self.report.refuse(self.name, f"runs a component in the mode {values.get(key)!r}, a debugger", line)
            elif key.startswith("+") or key.startswith("~"):
                self.report.distrust(self.name, f"changes another configuration by the key {key}", line)

    def _target(self, target: Any, arguments: dict[str, Any], line: int) -> None:
        if not isinstance(target, str):
            self.report.refuse(self.name, "has a _target_ that is no name", line)
            return
        problem = wrong_component(target, arguments)
        if problem:
            level = self.report.refuse if _reaches_out(target) else self.report.distrust
            level(self.name, f"runs {target}: {problem}" if target not in problem else problem, line)

    def _text(self, text: str, line: int) -> None:
        stripped = text.strip()
        if stripped.startswith("$"):
            dangerous, runs = look_at_expression(stripped[1:])
            for reason in dangerous:
                self.report.refuse(self.name, reason, line)
            for reason in runs or ([] if dangerous else ["an expression is computed"]):
                self.report.distrust(self.name, reason, line)
        elif stripped.startswith(("@", "%")) and stripped not in KEPT_REFERENCES:
            match = _OTHER_FILE.match(stripped)
            if match and (match["file"].startswith(("/", "~")) or ".." in match["file"] or ":" in match["file"][:3]):
                self.report.refuse(self.name, f"reads {match['file']}, outside of the bundle", line)
            else:
                self.report.distrust(self.name, f"refers to {stripped[:80]}", line)
        elif stripped.startswith(("/", "~/", "\\\\")) or re.match(r"[A-Za-z]:[\\/]", stripped) or "../" in stripped:
            self.report.distrust(self.name, f"names a place outside of the bundle: {stripped[:80]}", line)
        elif "__" in stripped:
            self.report.distrust(self.name, f"holds text that looks like code: {stripped[:80]}", line)


class _PlainValues:
    """Values of one mapping as Python has them; nested components are `COMPONENT`: they are looked at on their own.

    Aliases can make a small file mean billions of values: from `_LONGEST` on they are not looked at, and fit nowhere.
    """

    def __init__(self) -> None:
        self._seen = 0

    def of(self, node: yaml.MappingNode) -> dict[str, Any]:
        return {str(key.value): self._plain(value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}

    def _plain(self, node: yaml.Node, depth: int = 0) -> Any:
        self._seen += 1
        if self._seen > _LONGEST or depth == _DEEPEST:
            return "more than can be looked at / too deep"
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, depth + 1) for item in node.value[:_LONGEST]]
        if isinstance(node, yaml.MappingNode):
            if any(isinstance(key, yaml.ScalarNode) and key.value == _TARGET for key, _ in node.value):
                return COMPONENT
            return {str(key.value): self._plain(value, depth + 1) for key, value in node.value[:_LONGEST]}
        return _scalar(node.tag.rpartition(":")[2], str(node.value))


def _scalar(kind: str, text: str) -> Any:
    try:
        if kind == "int":
            return int(text.replace("_", ""), 0)
        if kind == "float":
            return float(text.replace("_", ""))
    except ValueError:  # another way to write a number: as text it fits nowhere
        return text
    return {"null": None, "bool": text.lower() in ("true", "yes", "on")}.get(kind, text)


def _reaches_out(target: str) -> bool:
    """Whether a name leads to what no component of a bundle has to do with."""
    from monai_seg.sharing.audit.expressions import DANGEROUS

    parts = re.split(r"[.\s]+", target)
    return any(part in DANGEROUS or part.startswith("_") or not part.isidentifier() for part in parts)
