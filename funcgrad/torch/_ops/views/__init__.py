"""The ops that give views of a tensor."""
