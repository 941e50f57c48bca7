"""What `sandbox bench` measures: each part beside a limit of the same run."""
