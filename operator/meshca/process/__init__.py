"""The running operator: its parts put together, its queue, its metrics."""
