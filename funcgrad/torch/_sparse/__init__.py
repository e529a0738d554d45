"""Sparse tensors in coordinate format: the tensor and its ops. Importing this room publishes their names."""

from funcgrad.torch._sparse import dispatch
