"""Medians, ratios within a round, and how figures and tables are written."""
import statistics


def values(stack, key):
    """The figure in each round; None where a round has none."""
    return [r.get(key) for r in stack["rounds"]] if stack else []


def median(stack, key):
    found = [v for v in values(stack, key) if v is not None]
    return statistics.median(found) if found else None


def ratios(stack, base, key):
    """stack's figure divided by base's, round by round."""
    pairs = zip(values(stack, key), values(base, key))
    return [a / b for a, b in pairs if a is not None and b]


def number(value):
    """Three digits that count, and no more."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    size = abs(value)
    if size >= 100 or (size >= 10 and value == int(value)):
        return f"{value:,.0f}"
    digits = 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}" if value else "0"


def table(header, lines):
    out = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(out + ["| " + " | ".join(map(str, line)) + " |" for line in lines])
