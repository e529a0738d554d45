"""The ops: one declaration an op, one file for each kind of op."""
