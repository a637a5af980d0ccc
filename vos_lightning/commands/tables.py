"""Tables that read the same on a terminal and in a file."""

from collections.abc import Mapping


def scores_table(scores: Mapping[str, Mapping[str, float]], title: str) -> str:
    """J&F, J and F in per cent, best first.

    Args:
        scores: J, F and JF in [0, 1] by row name.
        title: heads the first column.
    """
    width = max(len(title), *(len(name) for name in scores))
    lines = [f"{title:<{width}}    J&F      J      F"]
    for name, row in sorted(scores.items(), key=lambda item: -item[1]["JF"]):
        lines.append(f"{name:<{width}}  {row['JF'] * 100:5.1f}  {row['J'] * 100:5.1f}  {row['F'] * 100:5.1f}")
    return "\n".join(lines)
