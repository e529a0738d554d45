"""Several devices: what may not be on two of them is refused."""

from tests.processes import output_of

PROGRAM = """
import jax
import funcgrad.torch as torch

first, second = (torch.ones(2, device=f"cpu:{k}", requires_grad=True) for k in (1, 2))
(first * first).sum().backward()
print(first.grad.device, first.grad.tolist())
for attempt in (lambda: setattr(first, "grad", torch.ones(2, device="cpu:2")), lambda: first + second):
    try:
        attempt()
    except RuntimeError as error:
        print(error)
"""


def test_gradients_stay_on_their_device_and_devices_do_not_mix():
    lines = output_of("-c", PROGRAM, devices=4).splitlines()
    assert lines[0] == "cpu:1 [2.0, 2.0]"
    assert lines[1] == (
        "attempting to assign a gradient located on device with index '2' to a tensor located on device with index "
        "'1'. Please ensure that the gradient and the tensor are on the same device"
    )
    assert "expected all arrays on the same device" in lines[2]
