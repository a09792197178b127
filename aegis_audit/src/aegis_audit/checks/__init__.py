"""What is checked: each segment on its own, then how the segments stand to each other."""
