"""The pure core: spec, model, schedule, rotation, status. No I/O, no clock, no randomness."""
