"""The ops that give views of a tensor. Importing this room publishes them all."""

from funcgrad.torch._ops.views import complex, dtype, reshaped_in_place, splitting, views
