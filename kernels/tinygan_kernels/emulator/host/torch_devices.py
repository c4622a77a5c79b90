"""PyTorch's device "cuda" as another name of the CPU, for scripts that put the tensors of their kernels there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch


def _on_cpu(value: Any) -> Any:
    """Return "cpu" for a device that is a GPU, and anything else as it is."""
    import torch

    if isinstance(value, str) and (value == "cuda" or value.startswith("cuda:")):
        return "cpu"
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value


@contextmanager
def cuda_is_cpu() -> Iterator[None]:
    """Let tensors that are asked for on the device "cuda" be on the CPU; they say that they are on a GPU.

    What moves a tensor to a device by name copies it, as between a CPU and a GPU: a kernel that changes the one leaves the other.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class CudaIsCpu(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.Tensor.cuda, torch.Tensor.cpu):
                return args[0].clone()
            if func == torch.Tensor.is_cuda.__get__:
                return True
            named = any(isinstance(v, str | torch.device) for v in (*args[1:], (kwargs or {}).get("device")))
            kwargs = {name: _on_cpu(value) if name == "device" else value for name, value in (kwargs or {}).items()}
            if func in (torch.Tensor.to, torch.device):
                args = tuple(map(_on_cpu, args))
            result = func(*args, **kwargs)
            return result.clone() if named and func is torch.Tensor.to and result is args[0] else result

    with ExitStack() as stack:
        for name, value in (("synchronize", None), ("current_device", 0), ("is_available", True), ("device_count", 1)):
            stack.enter_context(patch.object(torch.cuda, name, lambda *_, value=value, **__: value))
        stack.enter_context(CudaIsCpu())
        yield
