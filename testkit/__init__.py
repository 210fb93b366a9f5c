"""What the tests and the demo run on: API servers real and embedded, a client, processes, and programs of others."""
