"""The engine: devices, precision, processes and updates. The loop stays with whoever needs it."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from omnitrain.engine.devices import emulated_bf16
from omnitrain.engine.optimisers import total_norm
from omnitrain.errors import EnvironmentFault, Stopped, UsageError

if TYPE_CHECKING:
    from accelerate import Accelerator

    from omnitrain.api.run import Run

Precision = Literal["float32", "bf16", "fp16"]
Result = TypeVar("Result")


def choose_device(name: str) -> torch.device:
    """Return the device that "auto" or a name stands for.

    Raises UsageError for a name that torch does not know, EnvironmentFault for a device that is not there.
    """
    if name == "auto":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        return torch.device(f"cuda:{local}" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"There is no device named {name!r}; write auto, cpu or cuda:0.") from error
    if device.type == "meta":
        raise UsageError(f"The device {name!r} holds shapes only and computes nothing; write auto, cpu or cuda:0.")
    if device.type != "cpu" and not _is_there(device):
        raise EnvironmentFault(f"The device {name!r} is not there; choose auto or cpu.")
    return device


def _is_there(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, NotImplementedError, ImportError, AssertionError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Update:
    """What one optimiser update did. norm: gradient norm before clipping. applied: whether parameters moved.

    Both are tensors on the device where reading them at once would stall it.
    """

    norm: Tensor | float
    applied: Tensor | bool


class Engine:
    """Pieces for every kind of loop: prepare, autocast, backward, update per optimiser, sums over processes.

    On one device nothing wraps the model; accelerate is used where there are several processes or fp16.
    """

    def __init__(self, precision: Precision = "float32", device: str = "auto", compile_model: bool = False) -> None:
        self.precision = precision
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self._compile = compile_model
        self._accelerator: Accelerator | None = None
        # Whose gradients an update drops: all that backward passes reach. They are looked for until no new optimiser comes.
        self._reached: dict[int, Tensor] = {}
        self._optimisers: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()
        self._looking = True
        if self.world > 1 or precision == "fp16":
            self._accelerator = _accelerator(precision, device)
            self.device: torch.device = self._accelerator.device
            self.rank: int = self._accelerator.process_index
        else:
            self.device, self.rank = choose_device(device), 0
        if precision == "fp16" and self.device.type != "cuda":
            raise UsageError("fit.precision fp16 needs a GPU; on this device choose bf16 or float32.")

    @property
    def is_main(self) -> bool:
        """True on the one process that writes."""
        return self.rank == 0

    def warn(self, run: Run) -> None:
        """Write an event where what was chosen is far slower on this device than it need be."""
        warning = emulated_bf16(self.precision, self.device)
        if warning is not None:
            run.event("slow precision", why=warning)

    def prepare(self, model: nn.Module) -> nn.Module:
        """Move a model to the device and wrap it for several processes or compilation; train through what is returned."""
        model.to(self.device)
        prepared: nn.Module = model
        if self._accelerator is not None and any(p.requires_grad for p in model.parameters()):
            prepared = self._accelerator.prepare_model(model)
        if self._compile:
            prepared = torch.compile(prepared)  # type: ignore[assignment]
        return prepared

    def prepare_optimiser(self, optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Wrap an optimiser where accelerate has something to do for it (fp16)."""
        if self._accelerator is None:
            return optimiser
        prepared: torch.optim.Optimizer = self._accelerator.prepare_optimizer(optimiser)
        return prepared

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for forward passes."""
        if self._accelerator is not None:
            context: AbstractContextManager[Any] = self._accelerator.autocast()
            return context
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def accumulating(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Return the context for a micro-batch; gradients are exchanged between processes only in the last one."""
        if self._accelerator is None or last or self.world == 1:
            return nullcontext()
        context: AbstractContextManager[Any] = self._accelerator.no_sync(model)
        return context

    def backward(self, total: Tensor, parameters: Sequence[nn.Parameter] | None = None) -> None:
        """Add the gradient of a scalar to the parameters' gradients.

        parameters: whose gradients are wanted, where the loss of one network goes through others; the others' are then not
        even computed. Raises UsageError where they are given with several processes.
        """
        wanted: dict[str, Any] = {}
        if parameters is not None:
            if self.world > 1:
                raise UsageError("A loss for some of the parameters is differentiated in one process only; start one.")
            wanted = {"inputs": list(parameters)}
        elif self._looking:
            self._reached.update((id(leaf), leaf) for leaf in leaves(total))
        if self._accelerator is not None:
            self._accelerator.backward(total, **wanted)
        else:
            total.backward(**wanted)  # type: ignore[no-untyped-call]

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.world == 1:
            return value
        torch.distributed.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Return on every process whether the flag is true on one of them."""
        if self.world == 1:
            return flag
        agreed = torch.tensor([float(flag)], device=self.device)
        torch.distributed.all_reduce(agreed)
        return bool(agreed.item() > 0)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in order of rank."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(found, value)
        return found

    def on_main(self, work: Callable[[], Result]) -> Result:
        """Do work on the first process and return on all of them what it returned.

        Raises there what the work raises; on the others Stopped, or EnvironmentFault with what was said.
        """
        if self.world == 1:
            return work()
        found: Any = None
        problem: Exception | None = None
        if self.is_main:
            try:
                found = work()
            except Exception as error:
                problem = error
        told = None if problem is None else (isinstance(problem, Stopped), f"{type(problem).__name__}: {problem}")
        found, told = self.gather((found, told))[0]
        if problem is not None:
            raise problem
        if told is not None:
            raise Stopped("Stopped on request.") if told[0] else EnvironmentFault(f"The first process failed: {told[1]}")
        result: Result = found
        return result

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    def update(
        self,
        optimiser: torch.optim.Optimizer,
        scale: Tensor | float = 1.0,
        clip_norm: float | None = None,
        loss: Tensor | None = None,
        parameters: Sequence[nn.Parameter] | None = None,
        clip_value: float | None = None,
        keep_others: bool = False,
    ) -> Update:
        """Scale, clip and apply the gradients, then drop them, those of other networks that the loss went through too.

        Nothing is applied when loss or gradient is not finite.
        scale: factor on every gradient, such as 1 / (sum of weights). loss: checked for being finite with the gradient.
        parameters: whose gradients; by default those of the optimiser. clip_value: bound of each scaled entry.
        keep_others: leave the gradients of all other parameters, where one backward pass is for several optimisers, each of
        which is updated now.
        """
        if parameters is None:
            parameters = [p for group in optimiser.param_groups for p in group["params"]]
        self._looking = optimiser not in self._optimisers
        if self._looking:
            self._optimisers.add(optimiser)
            self._reached.update((id(p), p) for p in parameters)
        if self._accelerator is not None and self.precision == "fp16":
            self._accelerator.unscale_gradients(optimiser)
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = total_norm(gradients)
        if self.device.type == "cpu":
            update = self._update_on_host(optimiser, gradients, norm, scale, (clip_norm, clip_value), loss)
        else:
            update = self._update_on_device(optimiser, gradients, norm, scale, (clip_norm, clip_value), loss)
        for parameter in parameters if keep_others else (*parameters, *self._reached.values()):
            parameter.grad = None
        return update

    def _update_on_host(
        self,
        optimiser: torch.optim.Optimizer,
        gradients: list[Tensor],
        norm: Tensor,
        scale: Tensor | float,
        clips: tuple[float | None, float | None],
        loss: Tensor | None,
    ) -> Update:
        """Reading a number costs nothing on the CPU, and arithmetic of Python numbers less than that of tensors."""
        clip_norm, clip_value = clips
        factor = float(scale)
        length = norm.item() * factor
        if not math.isfinite(length) or (loss is not None and not math.isfinite(loss.item())):
            return Update(length, False)
        if clip_norm is not None and length > clip_norm:
            factor *= clip_norm / (length + 1e-6)
        if factor != 1.0 and gradients:
            torch._foreach_mul_(gradients, factor)
        if clip_value is not None:
            _clamp(gradients, clip_value)
        optimiser.step()
        return Update(length, True)

    def _update_on_device(
        self,
        optimiser: torch.optim.Optimizer,
        gradients: list[Tensor],
        norm: Tensor,
        scale: Tensor | float,
        clips: tuple[float | None, float | None],
        loss: Tensor | None,
    ) -> Update:
        """Scale, clip and check without waiting for the device, where the optimiser can skip an update by itself."""
        clip_norm, clip_value = clips
        length = norm * scale
        if gradients:
            factor = length.new_tensor(scale) if isinstance(scale, float) else scale
            if clip_norm is not None:
                factor = factor * torch.clamp(clip_norm / (length + 1e-6), max=1.0)
            torch._foreach_mul_(gradients, factor)
            if clip_value is not None:
                _clamp(gradients, clip_value)
        checked = length if loss is None else length + loss.detach()
        if self.precision == "fp16":
            optimiser.step()  # the gradient scaler skips bad updates and lowers its scale
            return Update(length, not optimiser.step_was_skipped)  # type: ignore[attr-defined]
        if _skips_on_device(optimiser):
            missed = (~torch.isfinite(checked)).float()
            optimiser.found_inf, optimiser.grad_scale = missed, None  # type: ignore[attr-defined]
            optimiser.step()
            return Update(length, missed == 0)
        if not bool(torch.isfinite(checked)):
            return Update(length, False)
        optimiser.step()
        return Update(length, True)


def unwrap(model: nn.Module) -> nn.Module:
    """Return the module as it was built, without wrappers of compilation or of several processes."""
    inner = getattr(model, "_orig_mod", model)
    return inner.module if isinstance(inner, nn.parallel.DistributedDataParallel) else inner


def leaves(total: Tensor) -> Iterator[Tensor]:
    """Yield what a backward pass from a tensor would leave gradients in."""
    seen: set[Any] = set()
    left = [total.grad_fn]
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__ == "AccumulateGrad":
            yield node.variable  # type: ignore[attr-defined]
        left.extend(following for following, _ in node.next_functions)


def _clamp(gradients: list[Tensor], bound: float) -> None:
    torch._foreach_clamp_max_(gradients, bound)
    torch._foreach_clamp_min_(gradients, -bound)


def _skips_on_device(optimiser: torch.optim.Optimizer) -> bool:
    return isinstance(optimiser, (torch.optim.AdamW, torch.optim.Adam)) and bool(optimiser.defaults.get("fused"))


def _accelerator(precision: Precision, device: str) -> Accelerator:
    from accelerate import Accelerator

    mixed = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}[precision]
    return Accelerator(mixed_precision=mixed, cpu=device == "cpu" or not torch.cuda.is_available())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a block with the model in evaluation mode and without gradients; afterwards every module is as it was."""
    training = [m for m in model.modules() if m.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Run a block in which the modules' parameters take no gradient, which flows through them; afterwards all is as it was.

    with frozen(critic):
        loss = -critic(observations, actor(observations)).mean()
    """
    parameters = {id(p): p for module in modules for p in module.parameters()}.values()
    held = [(p, p.requires_grad) for p in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, required in held:
            parameter.requires_grad_(required)
