"""Which environment variables the product reads, found in its source."""

import ast
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
READERS = frozenset({"text", "flag", "number", "names", "choice", "url", "database", "email"})


def variables_read() -> set[str]:
    """Return every variable that a call of `env.<reader>("NAME", ...)` in the wiring names."""
    return {name for path in _wiring() for name in _read_in(path)}


def _wiring() -> list[Path]:
    return [path for path in (CHECKOUT / "project").rglob("*.py") if path.name != "env.py"]


def _read_in(path: Path) -> set[str]:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {
        str(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
        and call.func.attr in READERS
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
