"""A server that speaks vLLM's routes in front of a policy of its own, and may be told to lie, to go deaf or to die."""

import base64
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file

from vrft_pl.policy import VLM
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.types import Prompt, Prompts


def copied(policy):
    """The weights of a policy, to put them back."""
    return {name: value.clone() for name, value in policy.state_dict().items()}


class StubServer:
    """Answers on a port of this machine while it is entered.

    Attributes:
        requests: What it was asked for: route and body.
        spoil: Changes an answer to a prompt before it is sent.
        deaf: Answer 200 to new weights, and keep the old ones.
        fail: Status that every prompt is answered with instead.
    """

    def __init__(self, checkpoint="tiny", token=None, **kwargs):
        self.checkpoint, self.token = checkpoint, token
        self.requests: list[tuple[str, dict]] = []
        self.spoil: Callable[[dict], object] = lambda answer: answer
        self.deaf, self.fail, self.version, self.port = False, None, "0.32.0", 0
        self.one_at_a_time = threading.Lock()
        self.policy = None if checkpoint is None else VLM(checkpoint, **kwargs).load()
        self._started_with = {} if self.policy is None else copied(self.policy)
        self._begin_anew()

    def _begin_anew(self):
        if self.policy is not None:
            self.policy.load_state_dict(self._started_with)
        self.weights, self.updating, self.paused, self.adapters = "default", False, False, []

    def __enter__(self):
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer({})

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                self._answer(json.loads(body) if body else {})

            def _answer(self, body):
                try:
                    with stub.one_at_a_time:
                        status, answer = stub.answer(self.path.lstrip("/"), body, self.headers.get("authorization"))
                except Exception as error:
                    status, answer = 500, {"error": repr(error)}
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                with suppress(BrokenPipeError):  # nobody waits any more
                    self.wfile.write(content)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()

    def restart(self):
        """Die and come back on the same port, with the weights of the checkpoint."""
        self.__exit__()
        self._begin_anew()
        self.__enter__()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def routes(self):
        return [route for route, _ in self.requests]

    @property
    def prompts(self):
        return [body for route, body in self.requests if route == "inference/v1/generate"]

    def answer(self, route, body, authorization):
        if route == "health":
            return 200, {}
        if self.token is not None and authorization != f"Bearer {self.token}":
            return 401, {"error": "Unauthorized"}
        self.requests.append((route, body))
        match route:
            case "version":
                return 200, {"version": self.version}
            case "weight_info":
                return 200, {"weight_version": self.weights}
            case "v1/models":
                return 200, {"data": [{"id": name} for name in self.adapters]}
            case "v1/load_lora_adapter":
                assert (Path(body["lora_path"]) / "adapter_model.safetensors").is_file()
                self.adapters.append(body["lora_name"])
                return 200, {}
            case "v1/unload_lora_adapter":
                self.adapters.remove(body["lora_name"])
                return 200, {}
            case "start_weight_update":
                self.updating = True
                return 200, {}
            case "update_weights":
                assert self.updating
                assert self.paused
                self._load(Path(body["update_info"]["folder"]))
                return 200, {}
            case "finish_weight_update":
                self.weights, self.updating = body["weight_version"], False
                return 200, {}
            case "pause?mode=abort" | "resume":
                self.paused = route != "resume"
                return 200, {}
            case "init_weight_transfer_engine" | "reset_mm_cache" | "reset_encoder_cache":
                return 200, {}
            case "reset_prefix_cache":
                return 200, {"success": True}
            case "inference/v1/generate":
                assert not self.paused
                if self.fail is not None:
                    return self.fail, {"error": "told to fail"}
                if body.get("model") not in (None, *self.adapters):
                    return 404, {"error": "no such model"}
                return 200, self.spoil(self._write(body))
        return 404, {"error": f"no route {route}"}

    def _load(self, folder):
        files = sorted(folder.glob("*.safetensors"))
        assert files, folder
        if not self.deaf and self.policy is not None:
            for file in files:
                self.policy.hf_model.load_state_dict(load_file(file), strict=False)

    def _write(self, body):
        asked = body["sampling_params"]
        prompt = self._read(body)
        params = SamplingParams(asked["max_tokens"], asked["temperature"], asked["top_k"], asked["top_p"])
        # drawn by one seed after the other, as vLLM counts up within a group
        prompts = Prompts((prompt,) * asked["n"])
        seeds = [asked["seed"] + i for i in range(asked["n"])]
        with torch.no_grad():
            made = LocalSampler().generate(self.policy, prompts, 1, params, seeds)
            logprobs = self.policy.logprobs(prompts, made, params.temperature or 1.0).logprobs
        choices = []
        for i in range(asked["n"]):
            ids = made.ids[i][made.mask[i]].tolist()
            content = [
                {"token_id": t, "logprob": p} for t, p in zip(ids, logprobs[i][made.mask[i]].tolist(), strict=True)
            ]
            choices.append(
                {
                    "index": i,
                    "token_ids": ids,
                    "logprobs": {"content": content},
                    "finish_reason": made.finish_reasons[i],
                    "weight_versions": [{"version": self.weights, "start": 0, "end": len(ids)}],
                }
            )
        # in any order, as completions end
        return {"prompt_token_ids": prompt.inputs["input_ids"][0].tolist(), "choices": choices[::-1]}

    def _read(self, body):
        """Make a prompt of tokens with one placeholder a picture, by this side's own processor."""
        processor = self.policy.codec.processor
        urls = [part["url"].partition("base64,")[2] for part in body.get("content_parts", ())]
        pictures = [Image.open(BytesIO(base64.b64decode(url))).convert("RGB") for url in urls]
        text = processor.tokenizer.decode(body["token_ids"], skip_special_tokens=False)
        made = processor(text=[text], images=pictures or None, return_tensors="pt", **self.policy.codec.asked)
        return Prompt({key: value for key, value in made.items() if isinstance(value, torch.Tensor)})
