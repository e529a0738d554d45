"""`torch.optim.LBFGS`."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from funcgrad.engine import grad_mode
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.optim._line_search import Point, strong_wolfe
from funcgrad.torch.optim._updating import check_not_negative
from funcgrad.torch.optim.optimizer import Optimizer

__all__ = ["LBFGS"]


def __dir__() -> list[str]:
    return __all__


class LBFGS(Optimizer):
    """Limited-memory BFGS (J. Nocedal, "Updating Quasi-Newton Matrices with Limited Storage", 1980).

    Each step calls the closure several times, and looks at numbers each time; all parameters are one group.

    Definition: https://pytorch.org/docs/stable/generated/torch.optim.LBFGS.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_not_negative(lr=lr)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Take up to `max_iter` steps towards the minimum.

        Args:
            closure: evaluates the loss, and its gradients anew.

        Returns:
            The loss before the step.
        """
        self._tell()
        with grad_mode(False), np.errstate(all="ignore"):
            return self._search(closure)

    def _search(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        # The optimizer has one state, which is kept as that of the first parameter.
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = _with_grad(closure)
        loss, grad = float(first_loss), self._flat_grad()
        calls = 1
        state["func_evals"] += 1
        if _largest(grad) <= group["tolerance_grad"]:
            return first_loss
        for k in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            rate = float(group["lr"])
            start = state["n_iter"] == 1
            t = float(min(1.0, 1.0 / _read(grad.abs().sum()))) * rate if start else rate
            state.update(d=direction, t=t, prev_flat_grad=grad, prev_loss=loss)
            slope = _read(grad.dot(direction))
            if slope > -group["tolerance_change"]:
                break
            before, made = loss, 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                point, made = strong_wolfe(
                    self._along(closure, direction),
                    t,
                    Point(0, loss, grad, slope),
                    _largest(direction),
                    group["max_eval"] - calls,
                )
                loss, grad, t = point.loss, point.grad, float(point.t)
                state["t"] = t
                self._move(direction, t)
            else:
                self._move(direction, t)
                if k != group["max_iter"]:
                    loss, grad, made = float(_with_grad(closure)), self._flat_grad(), 1
            calls += made
            state["func_evals"] += made
            if (
                k == group["max_iter"]
                or calls >= group["max_eval"]
                or _largest(grad) <= group["tolerance_grad"]
                or _largest(direction.mul(t)) <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first_loss

    def _direction(self, state: dict[str, Any], grad: Any, most: int) -> Any:
        """Minus the gradient times the inverse Hessian, as the last steps tell it (Nocedal's two loops)."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return grad.neg()
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        change, step = grad.sub(state["prev_flat_grad"]), state["d"].mul(state["t"])
        curvature = change.dot(step)
        if _read(curvature) > 1e-10:
            if len(changes) == most:
                for memory in (changes, steps, inverses):
                    memory.pop(0)
            changes.append(change)
            steps.append(step)
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / change.dot(change)
        shares = state.setdefault("al", [None] * most)
        found = grad.neg()
        for k in reversed(range(len(changes))):
            shares[k] = steps[k].dot(found) * inverses[k]
            found = found - shares[k] * changes[k]
        found = found * state["H_diag"]
        for k in range(len(changes)):
            found = found + steps[k] * (shares[k] - changes[k].dot(found) * inverses[k])
        return found

    def _along(self, closure: Callable[[], Any], direction: Any) -> Callable[[Any], Point]:
        """The loss as a function of how far to go from here."""
        here = [parameter.clone() for parameter in self.param_groups[0]["params"]]

        def evaluate(t: Any) -> Point:
            self._move(direction, float(t))
            loss, grad = float(_with_grad(closure)), self._flat_grad()
            for parameter, elements in zip(self.param_groups[0]["params"], here, strict=True):
                parameter.copy_(elements)
            return Point(t, loss, grad, _read(grad.dot(direction)))

        return evaluate

    def _flat_grad(self) -> Any:
        grads = [
            each.new_zeros(each.shape) if each.grad is None else each.grad
            for each in self.param_groups[0]["params"]
        ]
        return FUNCTIONS["cat"]([_real(each).reshape(-1) for each in grads])

    def _move(self, direction: Any, t: float) -> None:
        start = 0
        for each in map(_real, self.param_groups[0]["params"]):
            end = start + each.numel()
            each.add_(direction[start:end].reshape(each.shape), alpha=t)
            start = end


def _with_grad(closure: Callable[[], Any]) -> Any:
    with grad_mode(True):
        return closure()


def _real(tensor: Any) -> Any:
    return FUNCTIONS["view_as_real"](tensor) if tensor.dtype.is_complex else tensor


def _read(tensor: Any) -> Any:
    """The element of a 0-d tensor, as a NumPy scalar of its dtype."""
    return np.asarray(tensor._array())[()]


def _largest(tensor: Any) -> Any:
    return _read(tensor.abs().max())
