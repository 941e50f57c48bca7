"""Why an object is as it is: its causal chain, read from what the slices and the chains stored."""
