"""What the benchmarks measure with: servers to talk to, a client that costs little, and a table with the bars."""
