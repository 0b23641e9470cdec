"""Routes by which weights come from the trainer to servers."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from vrft_pl.distributed import gather, is_sharded, rank
from vrft_pl.policy import VLM
from vrft_pl.policy.parts import is_adapted
from vrft_pl.rollout.vllm.client import Refused, Server, ServerLost
from vrft_pl.types import InputError

SHARED_MEMORY = Path("/dev/shm")
"""Where files live in memory."""
RENDEZVOUS_PORT = 29_600
"""First port at which the trainer and a server meet over NCCL; further servers have those after it."""
Route = Literal["files", "nccl", "ipc"]


class Push(ABC):
    """Makes weights ready once an optimizer step, and puts them on servers, again on one that was started anew."""

    adapter: str | None = None
    """Name by which requests ask for what was pushed; ``None`` where the server's own weights are replaced."""
    version: str = "default"
    """Name of the weights."""

    @abstractmethod
    def pack(self, policy: VLM, version: str) -> None:
        """Make the policy's weights ready. Every rank calls it at the same point."""

    @abstractmethod
    def load(self, server: Server) -> None:
        """Put what is ready on a server. Any rank may call it at any time.

        Raises:
            ServerLost: If the server can't take it now.
        """

    def has(self, server: Server) -> bool:
        """Whether a server has what is ready."""
        return server.weight_version() == self.version

    def close(self) -> None:  # noqa: B027  # optional
        """Give up what the route holds."""


class FilePush(Push):
    """Whole weights as files, those of an adapter merged; in shared memory where servers are on this machine.

    Args:
        folder: Where files are put, at the same path for the trainer and all servers. Defaults to a new folder in
            shared memory where there is some.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.parent = folder
        self.folder: Path | None = None

    def pack(self, policy: VLM, version: str) -> None:
        """Write the weights, and forget those of the step before."""
        previous, self.folder = self.folder, self._new_folder(version)
        self.write(policy, self.folder)
        self.version = version
        self._remove(previous)

    def write(self, policy: VLM, folder: Path) -> None:
        """Write what servers load. Every rank calls it, and the first writes."""
        policy.export(folder, weights_only=True)

    def load(self, server: Server) -> None:
        """Let a server read the files, and forget what it computed with older weights."""
        # what is being written meets weights that are half loaded, which ends the engine; it is asked for again
        server.post("pause?mode=abort")
        try:
            server.init_weight_transfer_engine({})
            server.start_weight_update()
            server.update_weights({"folder": str(self.folder)})
            server.finish_weight_update(self.version)
            server.forget()
        finally:
            server.post("resume")

    def close(self) -> None:
        """Remove the files."""
        self._remove(self.folder)
        self.folder = None

    def _new_folder(self, version: str) -> Path:
        """The same path on every rank, in a folder that nobody else reads."""
        made = failed = None
        if rank() == 0:
            parent = Path(self.parent) if self.parent else SHARED_MEMORY
            parent = parent if self.parent or parent.is_dir() else Path(tempfile.gettempdir())
            try:
                parent.mkdir(parents=True, exist_ok=True)
                made = tempfile.mkdtemp(prefix="vrft_pl-", dir=parent)
                # also of a run that ends by an error: what it left in shared memory would be missing there
                weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
            except OSError as error:
                failed = str(error)
        made, failed = gather((made, failed))[0]
        if made is None:
            raise InputError(f"Expected `folder` of VLLMSampler to be one that can be written to, but got: {failed}")
        return Path(made) / version

    def _remove(self, folder: Path | None) -> None:
        if folder is not None and rank() == 0:
            shutil.rmtree(folder.parent, ignore_errors=True)


class AdapterPush(FilePush):
    """The adapter as it is, a few megabytes; the server keeps the weights that it was started with."""

    def write(self, policy: VLM, folder: Path) -> None:
        """Write the adapter alone.

        Raises:
            InputError: If its weights are sharded.
        """
        if is_sharded(policy.parameters()):
            raise InputError(
                "Expected an adapter that lies whole on each device, but it is sharded. Use `merge: true`."
            )
        assert is_adapted(policy.model)
        if rank() == 0:
            policy.model.save_pretrained(str(folder))
        self._stale, self.adapter = self.adapter, folder.name

    def load(self, server: Server) -> None:
        """Let a server load the adapter under its new name, so that nothing of the old one is used."""
        server.post("v1/load_lora_adapter", {"lora_name": self.version, "lora_path": str(self.folder)})
        if self._stale is not None:
            with suppress(Refused):  # a server that was started anew never had it
                server.post("v1/unload_lora_adapter", {"lora_name": self._stale})

    def has(self, server: Server) -> bool:
        """Whether a server knows the adapter."""
        answer = server.get("v1/models")
        models: Sequence[Any] = answer.get("data", ()) if isinstance(answer, dict) else ()
        return self.version in {model.get("id") for model in models if isinstance(model, dict)}


class DevicePush(Push):
    """Whole weights from GPU to GPU, by the engines that vLLM ships for trainers. Not yet run on a GPU.

    A server that is started anew gets weights at the next step only: without the trainer there are none to send.

    Args:
        servers: The servers.
        route: ``nccl``, or ``ipc`` where trainer and server share a GPU.
        address: Of this machine, for servers on others.
    """

    def __init__(self, servers: Sequence[Server], route: Literal["nccl", "ipc"], address: str = "127.0.0.1") -> None:
        self.servers, self.route, self.address = servers, route, address
        self._engines: list[Any] = []

    def pack(self, policy: VLM, version: str) -> None:
        """Send the weights to every server.

        Raises:
            InputError: If there is an adapter, which these routes don't merge.
        """
        if policy.has_adapter:
            raise InputError(f"Expected `push: files` for a policy with `lora`, but got {self.route!r}.")
        if not self._engines:
            self._engines = [self._meet(policy, server, i) for i, server in enumerate(self.servers)]
        for server, engine in zip(self.servers, self._engines, strict=True):
            engine.send_weights()
            if rank() == 0:
                server.post("update_weight_version", {"new_version": version})
                server.forget()
        self.version = version

    def load(self, server: Server) -> None:
        """Nothing is left to load when the weights were sent."""
        if not self.has(server):
            raise ServerLost(f"{server.address} has other weights, and gets new ones at the next step only")

    def _meet(self, policy: VLM, server: Server, number: int) -> Any:
        try:
            from vllm.distributed.weight_transfer.base import ModuleSource
            from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory
            from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo
            from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo
        except ImportError as error:
            raise InputError(
                f"`push: {self.route}` needs vLLM beside the trainer. Install it with `pip install vrft_pl[vllm]`, or "
                "use `push: files`."
            ) from error
        if self.route == "ipc":
            info: Any = IPCTrainerInitInfo(rank=rank())
        else:
            size = int(server.get("get_world_size")["world_size"])
            info = NCCLTrainerInitInfo(self.address, RENDEZVOUS_PORT + number, size + 1, rank=rank())
        return WeightTransferTrainerFactory.trainer_init(info, client=server, source=ModuleSource(policy.hf_model))
