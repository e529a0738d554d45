"""Graph nodes and the walk backward: hooks, requests, complaints, saved attributes, custom nodes.

Importing this room publishes the hooks and the modes, and gives the engine's nodes the attributes that users see.
"""

from funcgrad.torch._autograd import hooks, node_interface, switches
