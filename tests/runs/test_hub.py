"""Exports that are pushed, against a server that speaks as much of the hub as that needs."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub.constants
import pytest
from huggingface_hub import ModelCard

from vrft_pl.runs import RunFolder
from vrft_pl.runs.card import model_card
from vrft_pl.runs.hub import push, refusal
from vrft_pl.types import InputError

CONFIG = """
seed_everything: 0
model:
  class_path: vrft_pl.modules.GRPOModule
  init_args:
    group_size: 8
    policy: {class_path: vrft_pl.policy.VLM, init_args: {checkpoint: me/base, revision: v1, lora: null}}
data:
  class_path: vrft_pl.data.Counting
  init_args: {train: {class_path: vrft_pl.data.ReasonJSON, init_args: {path: /home/somebody/rows.json}}}
trainer: {max_steps: 100, logger: null}
"""
AFTER = {"val/id/NumberMatch": 0.5, "val/id/parse_failures/NumberMatch": 0.25, "val/ood/NumberMatch": 0.75}


class Hub(BaseHTTPRequestHandler):
    """Keeps what is committed; refuses a commit where it is told to."""

    def do_POST(self):
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.paths.append(self.path)
        self.server.token = self.headers.get("Authorization")
        if self.path == "/api/repos/create":
            self.server.made = json.loads(asked)
            self.answer({"url": f"{self.server.place}/me/counts"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "/branch/" in self.path:
            self.answer({})
        elif "/preupload/" in self.path:
            files = json.loads(asked)["files"]
            self.answer({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        elif self.server.broken:
            self.answer({"error": "the disk is full"}, 507)
        else:
            lines = [json.loads(line) for line in asked.splitlines()]
            files = [line["value"] for line in lines if line["key"] == "file"]
            self.server.files = {file["path"]: base64.b64decode(file["content"]) for file in files}
            self.server.branches[self.path.rpartition("/")[2]] = self.server.files
            self.answer(
                {"commitUrl": f"{self.server.place}/me/counts/commit/1", "commitOid": "1", "pullRequestUrl": ""}
            )

    def answer(self, value, status=200):
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.place, server.paths, server.files, server.broken = f"http://127.0.0.1:{server.server_port}", [], {}, False
    server.branches = {}
    # older versions of the client say it by `private`
    server.visibility = lambda: server.made.get("visibility", "private" if server.made.get("private") else "public")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.place)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.write_text(folder.CONFIG, CONFIG)
    folder.write(folder.SUMMARY, {"before": {"val/id/NumberMatch": 0.25}, "after": AFTER, "constant": {}})
    data = {"train/train": {"rows": 7, "sha256": "c0ffee" * 10}}
    start = {"versions": {"torch": "2.15.0", "wandb": "0.31"}, "data": data, "checkpoint_commit": "4f0c"}
    folder.write(folder.MANIFEST, {"starts": [start]})
    (folder.path / "export").mkdir()
    (folder.path / "export/model.safetensors").write_bytes(b"weights")
    return folder


def test_the_export_is_pushed_with_its_card_into_a_private_repository(hub, run):
    assert push(run, "me/counts") == f"{hub.place}/me/counts"
    assert (hub.made["name"], hub.made["organization"], hub.visibility()) == ("counts", "me", "private")
    assert hub.token == "Bearer hf_secret"
    assert set(hub.files) == {"README.md", "model.safetensors"}
    assert hub.files["model.safetensors"] == b"weights"
    assert hub.files["README.md"] == (run.path / "export/README.md").read_bytes()
    assert "/api/validate-yaml" in hub.paths
    push(run, "me/counts", private=False)
    assert hub.visibility() == "public"


def test_the_policy_of_the_best_checkpoint_goes_to_a_branch_with_what_chose_it(hub, run):
    (run.path / "export-best").mkdir()
    (run.path / "export-best/model.safetensors").write_bytes(b"best weights")
    push(run, "me/counts")
    assert push(run, "me/counts", best=("val/ood/NumberMatch", 0.875)) == f"{hub.place}/me/counts/tree/best"
    assert "/api/models/me/counts/branch/best" in hub.paths
    assert {name: files["model.safetensors"] for name, files in hub.branches.items()} == {
        "main": b"weights",
        "best": b"best weights",
    }
    card = ModelCard(hub.branches["best"]["README.md"].decode())
    [result] = card.data.eval_results
    assert (result.dataset_name, result.metric_value) == ("ood", 0.875)
    for said in (
        "the one with the best `val/ood/NumberMatch`",
        "| `val/ood/NumberMatch` |  | 0.875 |  |",
        "| `val/id/NumberMatch` | 0.250 |  |  |",
        'from_pretrained("me/counts", revision="best")',
        "--model.policy.checkpoint me/counts --model.policy.revision best --images",
    ):
        assert said in card.text
    assert "best" not in hub.branches["main"]["README.md"].decode()
    hub.broken = True
    with pytest.raises(InputError, match="export-best --revision best` tries again"):
        push(run, "me/counts", best=("val/ood/NumberMatch", 0.875))


def test_a_push_that_fails_is_one_line_and_leaves_the_export(hub, run):
    hub.broken = True
    with pytest.raises(InputError, match="Expected to push to me/counts, but: .* tries again") as caught:
        push(run, "me/counts")
    assert "\n" not in str(caught.value)
    assert f"`hf upload me/counts {run.path}/export` tries again" in str(caught.value)
    assert (run.path / "export/model.safetensors").read_bytes() == b"weights"


def test_the_card_says_what_the_policy_was_trained_on_and_how_and_what_it_scores(run):
    card = model_card(run, "me/counts", adapter=False)
    read = ModelCard(str(card)).data
    assert (read.library_name, read.pipeline_tag, read.base_model) == ("transformers", "image-text-to-text", "me/base")
    results = {(r.dataset_name, r.metric_type): r.metric_value for r in read.eval_results}
    assert results == {("id", "NumberMatch"): 0.5, ("ood", "NumberMatch"): 0.75}
    for said in (
        "`me/base` (commit 4f0c), trained by `GRPOModule` of vrft_pl (torch 2.15.0).",
        "| `val/id/NumberMatch` | 0.250 | 0.500 |  |",
        "| `train/train` | 7 | `c0ffeec0ffeec0ff` |",
        "path: rows.json",
        "group_size: 8",
        'from_pretrained("me/counts")',
        "vrft_pl predict --model.policy.checkpoint me/counts",
    ):
        assert said in card.text
    assert "somebody" not in str(card)
    assert "null" not in card.text


def test_the_card_of_an_adapter_names_its_base_at_its_revision(run):
    card = model_card(run, "me/counts", adapter=True)
    assert (card.data.library_name, card.data.tags) == ("peft", ["vrft_pl", "lora"])
    assert 'from_pretrained("me/base", revision="v1")' in card.text
    assert "vrft_pl predict" not in card.text


def test_a_run_in_python_has_a_card_too(tmp_path):
    card = model_card(RunFolder(tmp_path), "me/counts", adapter=False)
    assert "Not recorded." in card.text
    assert card.data.eval_results is None


@pytest.mark.parametrize(
    ("name", "said"),
    [("me/counts", "there is none. `hf auth login`"), ("me/too/many", "to be the id of a repository")],
)
def test_what_is_wrong_is_known_before_a_run(monkeypatch, name, said):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert said in refusal(name)


def test_a_machine_that_is_offline_pushes_nothing(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    assert refusal("me/counts") is None
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refusal("me/counts")
