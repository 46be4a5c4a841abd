"""The optimisers: torch's fused kernels on state that is reset, restored and captured in place.

torch.optim's classes are left out: the first call of one imports torch's compiler, which takes longer than
all else that a trial worker imports.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

OptimizerName = Literal["adam", "adamw", "sgd"]


class Optimizer:
    """Adam (beta 0.9 and 0.999, epsilon 1e-8), AdamW (with decoupled decay), or SGD with momentum 0.9.

    Args:
        name: Which of them.
        parameters: The tensors to optimise; all on one device.
        learning_rate: Shape (), on the device of the parameters; read at each step.
        weight_decay: Shape (), there too; read at each step of an optimiser that `decays`.
        decays: Whether weights decay at all.

    References:
        Kingma and Ba (2015), "Adam"; Loshchilov and Hutter (2019), "Decoupled weight decay regularization".
    """

    def __init__(
        self,
        name: OptimizerName,
        parameters: Iterable[nn.Parameter],
        learning_rate: Tensor,
        weight_decay: Tensor,
        decays: bool,
    ) -> None:
        self._parameters: list[Tensor] = list(parameters)
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._name, self._decays = name, decays
        kinds = ("momentum_buffer",) if name == "sgd" else ("exp_avg", "exp_avg_sq")
        # Zeros are where torch's optimisers start too, SGD's momentum included.
        self._state = {kind: [torch.zeros_like(each) for each in self._parameters] for kind in kinds}
        if name != "sgd":
            self._state["step"] = [torch.zeros((), device=each.device) for each in self._parameters]

    def state(self) -> dict[str, Tensor]:
        """All tensors that a trial must keep to go on later, by name; they are the optimiser's own."""
        return {f"{i}.{kind}": each for kind, kept in self._state.items() for i, each in enumerate(kept)}

    def reset(self) -> None:
        """Forget all steps, in place."""
        for kept in self._state.values():
            torch._foreach_zero_(kept)

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Decay and change the parameters by their gradients.

        Raises:
            RuntimeError: If a parameter has no gradient: it took no part in the loss.
        """
        gradients = [parameter.grad for parameter in self._parameters]
        if None in gradients:
            raise RuntimeError("a parameter has no gradient; every part of a network must enter its score")
        if self._decays:
            (self._decay_weights if self._name == "adamw" else self._decay_gradients)()
        (self._sgd if self._name == "sgd" else self._adam)([each for each in gradients if each is not None])

    # The amount of decay is a tensor, which the fused kernels do not take: a captured step can be reused.

    def _decay_weights(self) -> None:
        torch._foreach_mul_(self._parameters, 1 - self._learning_rate * self._weight_decay)

    def _decay_gradients(self) -> None:
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad.addcmul_(parameter, self._weight_decay)

    def _adam(self, gradients: list[Tensor]) -> None:
        adam(
            self._parameters,
            gradients,
            self._state["exp_avg"],
            self._state["exp_avg_sq"],
            [],
            self._state["step"],
            fused=True,
            capturable=self._learning_rate.is_cuda,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self._learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    def _sgd(self, gradients: list[Tensor]) -> None:
        sgd(
            self._parameters,
            gradients,
            list(self._state["momentum_buffer"]),
            fused=True,
            weight_decay=0.0,
            momentum=0.9,
            lr=self._learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
