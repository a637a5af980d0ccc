"""The layering of the package, kept by reading its imports."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vos_lightning"

# everyone may import these, and they import nothing of ours
GROUND = {"batches", "errors", "ids", "lazy", "ranks"}
# part -> parts that it may import
ALLOWED = {
    "functional": set(),
    "io": set(),
    "models": {"functional"},
    "metrics": {"functional"},
    "transforms": {"functional"},
    "evaluation": {"functional", "io", "metrics"},
    "inference": {"models", "functional", "io", "transforms"},
    "data": {"functional", "io", "transforms"},
    "tasks": {"inference", "models", "metrics", "transforms", "functional"},
    "callbacks": {"io", "functional", "inference"},
    "weights": set(),
    "studio": {"inference", "io", "evaluation"},
    "commands": {"studio", "functional", "io", "metrics", "evaluation", "inference", "data", "tasks", "callbacks"},
    "lightning_cli": {"io", "data", "inference", "tasks", "callbacks"},
    "cli": {"commands", "lightning_cli", "io"},
    **{part: set() for part in GROUND},
    "__main__": {"cli"},
    "__init__": {"inference", "tasks"},
}
# room of a part -> rooms and modules of the same part that it may import
ROOMS: dict[str, set[str]] = {
    "functional.attention": set(),
    "functional.measures": set(),
    "inference.tracking": set(),
    "data.layouts": set(),
    "data.clips": {"layouts"},
    "data.synthetic": {"layouts", "clips"},
    "data.tools": {"layouts"},
    "data.shards": {"layouts", "clips", "tools"},
}
LIGHTNING = {"tasks", "callbacks", "commands", "lightning_cli"}
FORBIDDEN = {"torchvision", "timm", "segmentation_models_pytorch"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Dotted names of everything a module imports, also within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_imports_upward(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports_of(path):
        root, *rest = name.split(".")
        assert root not in FORBIDDEN, f"{path} imports {root}"
        if root == "vos_lightning" and rest[0] in ALLOWED:
            assert rest[0] in {part} | GROUND | ALLOWED[part], f"{path} imports {name}"
        if root in ("pytorch_lightning", "lightning"):
            assert part in LIGHTNING or "datamodules" in path.parts, f"{path} imports Lightning"


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_a_part_import_what_they_may(room):
    part = room.split(".")[0]
    allowed = tuple(f"vos_lightning.{part}.{one}." for one in {room.split(".")[1]} | ROOMS[room])
    modules = sorted((PACKAGE / room.replace(".", "/")).rglob("*.py"))
    assert modules, f"there is no room {room}"
    for path in modules:
        for name in imports_of(path):
            assert not name.startswith(f"vos_lightning.{part}.") or f"{name}.".startswith(allowed), (
                f"{path} imports {name}"
            )


LAZY = [path for path in MODULES if path.name == "__init__.py" and "lazy_names" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", LAZY, ids=lambda path: path.parent.name)
def test_packages_have_the_names_that_they_list(path):
    package = import_module(".".join(["vos_lightning", *path.parent.relative_to(PACKAGE).parts]))
    assert {*dir(package)} == {*package.__all__} - {"__version__"}
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match=f"{package.__name__}.* has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_the_table_of_equations_names_what_is_there():
    docs = PACKAGE.parent / "docs"
    rows = re.findall(r"\| `(\w+)` in \[(\S+)\]\((\S+)\) \|", (docs / "equations.md").read_text(encoding="utf-8"))
    assert len(rows) > 15
    for name, shown, link in rows:
        path = (docs / link).resolve()
        assert path == (PACKAGE / shown).resolve()
        defined = {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if hasattr(node, "name")}
        assert name in defined, f"docs/equations.md: there is no {name} in {shown}"


def run_python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=1800, check=True)
    return result.stdout


def test_importing_the_package_imports_nothing_heavy():
    heavy = "('torch', 'numpy', 'cv2')"
    code = f"import sys, vos_lightning, vos_lightning.cli; print([m for m in {heavy} if m in sys.modules])"
    assert run_python(code).strip() == "[]"


def test_inference_needs_no_lightning():
    code = "import sys; from vos_lightning import VideoSegmenter; print('pytorch_lightning' in sys.modules)"
    assert run_python(code).strip() == "False"


def test_pinned_names_can_be_imported():
    code = """
from vos_lightning import MAST, CTVOS, OnlineAdapter, VideoSegmenter
from vos_lightning.data import DAVISDataModule, YouTubeVOSDataModule, KineticsDataModule
from vos_lightning.data import VideoFolderDataModule, ImageFolderDataModule, SyntheticDataModule
from vos_lightning.metrics import RegionSimilarity, ContourAccuracy, JFMeasure
from vos_lightning.functional import local_attention, region_similarity, contour_accuracy
from vos_lightning.inference import VideoSegmenter
from vos_lightning.tasks import MAST, CTVOS, OnlineAdapter
print(callable(local_attention))
"""
    assert run_python(code).strip() == "True"
