"""Where a root and its key come from, a kind in each module."""
