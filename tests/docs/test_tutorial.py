"""The notebook of docs/tutorial.ipynb, cell by cell in a kernel of its own, on the smallest settings."""

import json

import pytest
from docs.pages import ROOT

NOTEBOOK = ROOT / "docs/tutorial.ipynb"
TINY = "STEPS, TRAINING, HELD_OUT = 2, 32, 4"


@pytest.mark.nightly  # a kernel of its own; `.ci/run` runs it by itself
def test_every_cell_runs(tmp_path):
    client = pytest.importorskip("nbclient", reason="the extra `dev` is not installed")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (settings,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    settings.source = settings.source.replace(settings.source.splitlines()[0], TINY)
    client.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert {"metrics.csv", "completions.jsonl", "export"} <= {path.name for path in tmp_path.glob("runs/tutorial/*")}


def test_what_is_kept_of_it_is_one_run_from_beginning_to_end():
    """Somebody who changes a cell runs all of them again."""
    code = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {"stream", "display_data"} <= {output["output_type"] for output in outputs}
    assert [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"] == []
