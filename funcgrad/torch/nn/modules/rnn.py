"""Recurrent layers and their cells.

Behaviour: https://pytorch.org/docs/stable/nn.html#recurrent-layers
"""

import math
import numbers
import warnings
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import init
from funcgrad.torch.nn._packed_sequences import PackedSequence
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.parameter import Parameter

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]


def __dir__() -> list[str]:
    return __all__


_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _check_sizes(mode: str, of: dict[str, Any]) -> None:
    """Refuse arguments of a recurrent layer, in PyTorch's words and order."""
    dropout = of["dropout"]
    if (
        not isinstance(dropout, numbers.Number)
        or isinstance(dropout, bool)
        or not 0 <= dropout <= 1  # type: ignore[operator]
    ):
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
        )
    if dropout > 0 and of["num_layers"] == 1:  # type: ignore[operator]
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers greater "
            f"than 1, but got dropout={dropout} and num_layers={of['num_layers']}",
            stacklevel=4,
        )
    for name, kind in (("bias", bool), ("batch_first", bool), ("input_size", int), ("hidden_size", int)):  # fmt: skip
        given = of[name]
        if not isinstance(given, kind):
            raise TypeError(
                f"{name} should be of type {kind.__name__}, got: {type(given).__name__}"
            )
        if kind is int and given <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if of["num_layers"] <= 0:
        raise ValueError("num_layers must be greater than zero")
    if of["proj_size"] < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if of["proj_size"] >= of["hidden_size"]:
        raise ValueError("proj_size has to be smaller than hidden_size")
    if mode not in _GATES:
        raise ValueError("Unrecognized RNN mode: " + mode)


class RNNBase(Module):
    """The parameters and the checks that `RNN`, `LSTM` and `GRU` share."""

    __constants__ = (
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    )

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"input_size": input_size, "hidden_size": hidden_size}
        sizes |= {"num_layers": num_layers, "bias": bias, "batch_first": batch_first}
        _check_sizes(mode, {**sizes, "dropout": dropout, "proj_size": proj_size})
        self.mode = mode
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._all_weights: list[list[str]] = []
        gates, out = _GATES[mode] * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            features = input_size if layer == 0 else out * self._directions
            sizes = {"weight_ih": (gates, features), "weight_hh": (gates, out)}
            if bias:
                sizes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            if proj_size:
                sizes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[: self._directions]:
                names = {name: f"{name}_l{layer}{suffix}" for name in sizes}
                for name, size in sizes.items():
                    made = Parameter(torch.empty(size, device=device, dtype=dtype))
                    setattr(self, names[name], made)
                self._all_weights.append(list(names.values()))
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Do nothing: PyTorch lays out the parameters for cuDNN here."""

    def reset_parameters(self) -> None:
        """Draw the initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Check an input.

        Raises:
            ValueError: its dtype is not the weights'.
            RuntimeError: it has other numbers of dimensions or of features.
        """
        wanted = self._flat_weights[0].dtype
        if input.dtype is not wanted:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({wanted}). Convert input: "
                f"input.to({wanted}), or convert model: model.to({input.dtype})"
            )
        dims = 2 if batch_sizes is not None else 3
        if input.dim() != dims:
            raise RuntimeError(f"input must have {dims} dimensions, got {input.dim()}")
        if self.input_size != input.shape[-1]:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )

    def _batches(self, input: Tensor, batch_sizes: Tensor | None) -> int:
        if batch_sizes is not None:
            return int(batch_sizes[0])
        return input.shape[0 if self.batch_first else 1]

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """The shape of the hidden states."""
        layers = self.num_layers * self._directions
        return layers, self._batches(input, batch_sizes), self.proj_size or self.hidden_size

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Check the shape of hidden states.

        Raises:
            RuntimeError: it is another one.
        """
        if hx.shape != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Check an input and the states that it begins with.

        Raises:
            ValueError, RuntimeError: they do not fit.
        """
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The states in another order of the batches."""
        return hx if permutation is None else hx.index_select(1, permutation)

    # -- the states, which an LSTM has two of ---------------------------------------------------------------------

    def _first(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        """The states that it begins with if none were given: zeros."""
        size = self.get_expected_hidden_size(input, batch_sizes)
        return torch.zeros(size, dtype=input.dtype, device=input.device)

    def _check_batched(self, hx: Any, batched: bool) -> None:
        what, dims = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
        if hx.dim() != dims:
            raise RuntimeError(
                f"For {what} input, hx should also be {dims}-D but got {hx.dim()}-D tensor"
            )

    def _added(self, hx: Any, dim: int) -> Any:
        return hx.unsqueeze(dim)

    def _removed(self, hx: Any, dim: int) -> Any:
        return hx.squeeze(dim)

    # -- a call ---------------------------------------------------------------------------------------------------

    def _computed(self, input: Any, hx: Any, batch_sizes: Any) -> tuple[Tensor, Any]:
        function = getattr(torch, self.mode.lower())
        rest = (self._flat_weights, self.bias, self.num_layers, self.dropout, self.training, self.bidirectional)  # fmt: skip
        if batch_sizes is None:
            found = function(input, hx, *rest, self.batch_first)
        else:
            found = function(input, batch_sizes, hx, *rest)
        return found[0], tuple(found[1:]) if self.mode == "LSTM" else found[1]

    def forward(self, input: Any, hx: Any = None) -> Any:
        """The last layer's states at each step, and the last states of each layer.

        Args:
            input: (steps, batches, features), with `batch_first` (batches, steps, features), (steps, features), or a
                `PackedSequence`.
            hx: the states to begin with, (layers * directions, batches, ...); zeros if None.

        Raises:
            ValueError, RuntimeError: they do not fit.
        """
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        name = self.mode.split("_")[0]
        if input.dim() not in (2, 3):
            tensor = " tensor" if name == "RNN" else ""
            raise ValueError(
                f"{name}: Expected input to be 2D or 3D, got {input.dim()}D{tensor} instead"
            )
        batched, batch_dim = input.dim() == 3, 0 if self.batch_first else 1
        many = input if batched else input.unsqueeze(batch_dim)
        if hx is None:
            hx = self._first(many, None)
        else:
            self._check_batched(hx, batched)
            hx = hx if batched else self._added(hx, 1)
        self.check_forward_args(many, hx, None)
        output, last = self._computed(many, hx, None)
        if batched:
            return output, last
        return output.squeeze(batch_dim), self._removed(last, 1)

    def _packed(self, input: PackedSequence, hx: Any) -> Any:
        data, sizes, order, back = input
        hx = self._first(data, sizes) if hx is None else self.permute_hidden(hx, order)
        self.check_forward_args(data, hx, sizes)
        output, last = self._computed(data, hx, sizes)
        return PackedSequence(output, sizes, order, back), self.permute_hidden(last, back)

    def extra_repr(self) -> str:
        """Its sizes, and what is not as by default."""
        defaults: dict[str, Any] = {"proj_size": 0, "num_layers": 1, "bias": True}
        defaults |= {"batch_first": False, "dropout": 0, "bidirectional": False}
        others = [
            f"{name}={getattr(self, name)}"
            for name, default in defaults.items()
            if getattr(self, name) != default
        ]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *others])


def _refuse_projection(given: dict[str, Any]) -> None:
    if "proj_size" in given:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """Recurrent layers with tanh or ReLU: `h' = tanh(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh)`.

    Args:
        input_size, hidden_size: the numbers of features of the input and of the states.
        num_layers: the number of layers, each on the states of the one before.
        nonlinearity: "tanh" or "relu".
        bias: whether there are biases.
        batch_first: whether the batches come first in the input and the result.
        dropout: the part of the elements between layers that training drops.
        bidirectional: whether each layer runs in both directions.
        device, dtype: of the parameters.

    Raises:
        ValueError, TypeError: an argument is not allowed.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        if len(args) > 3:
            nonlinearity, args = args[3], args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{nonlinearity.upper()}", *args, **kwargs)
        self.nonlinearity = nonlinearity


class GRU(RNNBase):
    """Gated recurrent units; the arguments are as for `RNN`, without `nonlinearity`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.GRU.html
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)


class LSTM(RNNBase):
    """Long short-term memory; the arguments are as for `RNN`, without `nonlinearity`, and one more.

    Args:
        proj_size: the number of features of the hidden states, if they are projected.

    >>> import funcgrad.torch as torch
    >>> output, (hidden, cell) = torch.nn.LSTM(3, 4)(torch.ones(5, 2, 3))
    >>> output.shape, hidden.shape, cell.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]), torch.Size([1, 2, 4]))

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """The shape of the cells."""
        layers = self.num_layers * self._directions
        return layers, self._batches(input, batch_sizes), self.hidden_size

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Check an input and the states that it begins with.

        Raises:
            ValueError, RuntimeError: they do not fit.
        """
        self.check_input(input, batch_sizes)
        sizes = (
            self.get_expected_hidden_size(input, batch_sizes),
            self.get_expected_cell_size(input, batch_sizes),
        )
        for k, size in enumerate(sizes):
            self.check_hidden_size(hidden[k], size, f"Expected hidden[{k}] size {{}}, got {{}}")

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The states in another order of the batches."""
        if permutation is None:
            return hx
        return tuple([each.index_select(1, permutation) for each in hx])

    def _first(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        size = self.get_expected_cell_size(input, batch_sizes)
        cell = torch.zeros(size, dtype=input.dtype, device=input.device)
        return super()._first(input, batch_sizes), cell

    def _check_batched(self, hx: Any, batched: bool) -> None:
        what, dims = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
        if hx[0].dim() != dims or hx[1].dim() != dims:
            raise RuntimeError(
                f"For {what} input, hx and cx should also be {dims}-D but got ({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )

    def _added(self, hx: Any, dim: int) -> Any:
        return tuple([each.unsqueeze(dim) for each in hx])

    def _removed(self, hx: Any, dim: int) -> Any:
        return tuple([each.squeeze(dim) for each in hx])


class RNNCellBase(Module):
    """The parameters that `RNNCell`, `LSTMCell` and `GRUCell` share."""

    __constants__: ClassVar[tuple[str, ...]] = ("input_size", "hidden_size", "bias")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        gates = num_chunks * hidden_size
        sizes: dict[str, Any] = {
            "weight_ih": (gates, input_size),
            "weight_hh": (gates, hidden_size),
            "bias_ih": gates if bias else None,
            "bias_hh": gates if bias else None,
        }
        for name, size in sizes.items():
            made = None if size is None else torch.empty(size, device=device, dtype=dtype)
            self.register_parameter(name, None if made is None else Parameter(made))
        self.reset_parameters()

    def extra_repr(self) -> str:
        """Its sizes, and what is not as by default."""
        found = f"{self.input_size}, {self.hidden_size}"
        if "bias" in self.__dict__ and self.bias is not True:
            found += f", bias={self.bias}"
        if "nonlinearity" in self.__dict__ and self.nonlinearity != "tanh":
            found += f", nonlinearity={self.nonlinearity}"
        return found

    def reset_parameters(self) -> None:
        """Draw the initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _step(self, function: Any, input: Any, hx: Any, states: int = 1) -> Any:
        """One step, of a batch or of one instance.

        Raises:
            ValueError: the input or a state has another number of dimensions.
            RuntimeError: their sizes do not fit.
        """
        name = type(self).__name__
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        given: tuple[Any, ...] = () if hx is None else (hx if states > 1 else (hx,))
        for k, each in enumerate(given):
            if each.dim() not in (1, 2):
                what = f"hx[{k}]" if states > 1 else "hidden"
                raise ValueError(
                    f"{name}: Expected {what} to be 1D or 2D, got {each.dim()}D instead"
                )
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if hx is None:
            zeros = torch.zeros(x.shape[0], self.hidden_size, dtype=x.dtype, device=x.device)
            given = (zeros,) * states
        elif not batched:
            given = tuple([each.unsqueeze(0) for each in given])
        self._check_step(x, given)
        found = function(
            x,
            given if states > 1 else given[0],
            self.weight_ih,
            self.weight_hh,
            self.bias_ih,
            self.bias_hh,
        )
        if batched:
            return found
        return tuple([each.squeeze(0) for each in found]) if states > 1 else found.squeeze(0)

    def _check_step(self, x: Any, given: Any) -> None:
        if x.shape[1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {x.shape[1]} expected {self.input_size}"
            )
        for k, each in enumerate(given):
            if each.shape[0] != x.shape[0]:
                raise RuntimeError(
                    f"Input batch size {x.shape[0]} doesn't match hidden{k} batch size {each.shape[0]}"
                )
            if each.shape[1] != self.hidden_size:
                raise RuntimeError(
                    f"hidden{k} has inconsistent hidden_size: got {each.shape[1]}, expected {self.hidden_size}"
                )


class RNNCell(RNNCellBase):
    """One step of an `RNN`.

    Args:
        input_size, hidden_size: the numbers of features of the input and of the state.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".
        device, dtype: of the parameters.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.RNNCell.html
    """

    __constants__: ClassVar[tuple[str, ...]] = ("input_size", "hidden_size", "bias", "nonlinearity")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state.

        Raises:
            ValueError, RuntimeError: the arguments do not fit.
        """
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(getattr(torch, f"rnn_{self.nonlinearity}_cell"), input, hx)


class LSTMCell(RNNCellBase):
    """One step of an `LSTM`; the arguments are as for `RNNCell`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        """The next state and the next cell.

        Raises:
            ValueError, RuntimeError: the arguments do not fit.
        """
        return self._step(torch.lstm_cell, input, hx, states=2)


class GRUCell(RNNCellBase):
    """One step of a `GRU`; the arguments are as for `RNNCell`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.nn.GRUCell.html
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state.

        Raises:
            ValueError, RuntimeError: the arguments do not fit.
        """
        return self._step(torch.gru_cell, input, hx)
