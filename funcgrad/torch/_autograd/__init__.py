"""Graph nodes and the walk backward: hooks, requests, complaints, saved attributes, custom nodes."""
