"""The API server and what is in it: requests, watches, the clock, the lease, objects as JSON."""
