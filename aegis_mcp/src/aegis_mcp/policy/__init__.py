"""The policy: what may happen, written by the operator, judged by a pure function."""
