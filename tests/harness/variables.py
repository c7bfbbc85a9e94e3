"""Which environment variables the product reads, found in its source."""

import ast
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
READERS = frozenset(
    {"text", "flag", "number", "names", "choice", "url", "optional_url", "site", "addresses",
     "mailbox", "database", "email", "fernet_keys", "networks", "ports"}
)  # fmt: skip


def variables_read() -> dict[str, object]:
    """
    Return every variable that a call of `env.<reader>("NAME", ...)` in the wiring names.

    The value is the default where the call spells it out as a number or text, else None.
    """
    calls = (call for path in _wiring() for call in _calls_in(path))
    return {str(name.value): _default(call) for call in calls if (name := _name(call))}


def numbers_read() -> dict[str, tuple[int, dict[str, int]]]:
    """Return the default and the bounds that each call of `env.number("NAME", ...)` spells out."""
    calls = (call for path in _wiring() for call in _calls_in(path))
    return {
        str(name.value): (
            ast.literal_eval(call.args[1]),
            {str(bound.arg): ast.literal_eval(bound.value) for bound in call.keywords},
        )
        for call in calls
        if (name := _name(call)) and ast.unparse(call.func) == "env.number"
    }


def _wiring() -> list[Path]:
    return [path for path in (CHECKOUT / "project").rglob("*.py") if path.name != "env.py"]


def _calls_in(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def _name(call: ast.Call) -> ast.Constant | None:
    """Return the variable that the call reads, None for a call of anything else."""
    reads = (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in READERS
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
    )
    first = call.args[0] if reads and call.args else None
    return first if isinstance(first, ast.Constant) else None


def _default(call: ast.Call) -> object:
    second = call.args[1] if len(call.args) > 1 else None
    return second.value if isinstance(second, ast.Constant) else None
